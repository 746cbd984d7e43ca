"""Recorders write trials to where people look at them: TensorBoard's files, an MLflow server; `wandb/` to W&B."""
