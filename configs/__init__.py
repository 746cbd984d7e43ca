"""The trainer's configuration: the tree of defaults and the experiment files."""
