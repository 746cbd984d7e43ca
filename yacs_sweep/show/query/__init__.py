"""Answers questions about a sweep's trials on the terminal: which, how they differ, what they printed."""
