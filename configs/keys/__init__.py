"""Keys of the configuration, one module a section: defaults, and beside them the values that are accepted."""
