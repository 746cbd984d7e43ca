#!/usr/bin/env bash
# One command on a fresh machine: sets up what is missing, then runs a real 3-trial sweep on CPU, on images the
# project draws itself; offline, or on the W&B server when you are logged in. Arguments go to tools/sweep.py.
set -euo pipefail
cd "$(dirname "$0")"
tools/setup.sh
exec .venv/bin/python tools/sweep.py --config_file configs/smoke.yml --sweep-config sweep_test "$@"
