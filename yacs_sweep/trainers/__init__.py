"""Reads a trainer's profile and writes parameters as the words that trainer takes."""
