"""Reads how long a sweep may run, and what it may use: durations, moments, GPU hours."""
