"""Runs a sweep: from the options to its end."""
