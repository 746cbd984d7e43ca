"""Samplers of training batches. Imports no array library, so that the table of samplers is read at once."""
