"""Reads trainers' profiles, and writes parameters as the command-line arguments that a trainer takes."""
