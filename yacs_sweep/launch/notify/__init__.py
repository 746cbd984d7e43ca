"""Notifies somebody of what happens in a launch (`--notify`): runs a command, or posts to a URL."""
