"""Sums up what a sweep has used of its budget."""
