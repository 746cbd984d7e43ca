#!/usr/bin/env python3
"""Report what a sweep found: `python tools/report.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from yacs_sweep.serve.command import main

if __name__ == "__main__":
    sys.exit(main())
