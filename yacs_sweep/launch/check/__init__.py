"""Checks for `--check` what a sweep needs: interpreters, trainer, GPUs, disk, W&B. Starts nothing of the sweep."""
