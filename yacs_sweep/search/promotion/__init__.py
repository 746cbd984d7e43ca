"""Schedulers that pause trials, resume the best ones, and copy them: pure functions of the trials so far."""
