"""Stores the trials of an embedded sweep in a file or a database, and coordinates the agents that share them."""
