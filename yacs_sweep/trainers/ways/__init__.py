"""Gives parameters to trainers that take them otherwise than as words: a merged file, variables, JSON; fills placeholders."""
