"""Stores the trials of an embedded sweep, in a file or in a database that machines share."""
