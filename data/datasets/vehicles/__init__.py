"""Readers of data sets of vehicles, one a module."""
