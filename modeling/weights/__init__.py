"""Weights of other people's files: how they are read, and which name there is which here.

`files` reads a file without running code from it; `rules` has the form of a table of names, `tables` the tables, one
family of files a module, and `changes` what is done to values; `fitting` finds the table whose result fits a network best,
and `conversion` writes files with other names.
"""
