"""Chooses the next point and decides when a trial stops."""

from .lazy_import import load_when_used

load_when_used("optuna.progress_bar")  # nobody sees it, and with tqdm, asyncio and ssl it is 5 MB of every agent
