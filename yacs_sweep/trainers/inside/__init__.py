"""Scripts that run in the trainer's interpreter: standard library only, Python 3.7 or newer."""
