"""Follows the trials of a population, of which some begin from the checkpoints of others."""
