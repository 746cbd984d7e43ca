"""Searches hyperparameters of a trainer that runs as a child process."""
