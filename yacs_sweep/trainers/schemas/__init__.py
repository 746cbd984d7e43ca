"""Reads which keys a trainer has, and of what types, and checks parameters against them."""
