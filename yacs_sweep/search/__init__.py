"""Chooses the next point and decides when a trial stops."""
