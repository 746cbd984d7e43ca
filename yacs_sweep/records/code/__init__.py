"""Watches the trainer's code, or freezes a copy of the code for a sweep."""
