"""Writes the report of a sweep."""
