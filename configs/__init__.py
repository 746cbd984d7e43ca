"""Configuration of the trainer: the tree of defaults and the experiment files."""
