"""Chooses points by an optimiser that the sweep file names under `scheduler`: Optuna with the user's study, or Ax."""
