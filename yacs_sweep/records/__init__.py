"""Reads and writes the files of a sweep's folder."""
