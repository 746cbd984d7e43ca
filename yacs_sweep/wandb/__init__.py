"""Talks to W&B: sweeps, runs, rows and artifacts."""
