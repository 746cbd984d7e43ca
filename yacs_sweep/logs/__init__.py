"""Turns the lines a trainer prints into metrics."""
