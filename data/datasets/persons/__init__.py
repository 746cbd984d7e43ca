"""Readers of data sets of pedestrians, one a module."""
