"""Declares, reads and checks the options of `tools/sweep.py`."""
