#!/usr/bin/env python3
"""Search hyperparameters of a YACS trainer: `python tools/sweep.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from yacs_sweep.cli import main

if __name__ == "__main__":
    sys.exit(main())
