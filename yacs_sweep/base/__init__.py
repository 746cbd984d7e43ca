"""Shared tools of every wing: errors, wording, values, files, locks and processes."""
