"""Utilities of the trainer: errors, log, signals, files, progress bar, W&B recorder of a single run."""
