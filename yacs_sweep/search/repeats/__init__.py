"""Trains each point with several seeds: which seed comes next, and what a point's seeds say together."""
