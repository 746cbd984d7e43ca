"""Draws the running sweep on the terminal."""
