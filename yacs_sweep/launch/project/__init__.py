"""Reads a project's defaults of options from yacs-sweep.toml or pyproject.toml."""
