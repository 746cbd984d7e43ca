"""Holds the models that suggest points: what they are shown, which is asked, and the GP's cost."""
