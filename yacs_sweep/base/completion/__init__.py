"""Writes completions of the command lines for shells: options, choices, files, and names of what is in the results folder."""
