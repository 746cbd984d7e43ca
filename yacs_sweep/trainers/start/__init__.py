"""Finds out before a trial whether the trainer's interpreter, modules and program are there."""
