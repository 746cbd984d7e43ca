"""Reads sweep files: the method, the parameters with their distributions, and when trials and sweep end."""
