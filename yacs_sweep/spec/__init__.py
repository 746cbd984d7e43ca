"""Reads a sweep file: what is searched, over which parameters, until when."""
