"""What a sweep found, for people: a page that needs no network, tables, CSV and JSON. Reads folders and the W&B server."""
