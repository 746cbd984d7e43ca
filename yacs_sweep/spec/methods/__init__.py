"""Reads and holds the keys of single search methods: `pbt` and `scheduler`."""
