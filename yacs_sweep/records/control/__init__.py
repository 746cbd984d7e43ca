"""Keeps what users order a running sweep to do, and which launches have obeyed."""
