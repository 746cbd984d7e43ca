"""Supervises the workers, one agent process each."""
