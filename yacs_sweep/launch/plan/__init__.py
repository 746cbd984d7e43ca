"""Checks everything before a sweep is created."""
