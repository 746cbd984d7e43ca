"""Shows a sweep to its user: terminal, tables and report."""
