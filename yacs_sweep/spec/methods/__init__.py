"""Holds what a method of search is told beside the parameters."""
