"""Runs one trial: from a point to a verdict."""
