"""What the trainer's other rooms share: configuration, logging, signals, ranking metrics, W&B of a single run."""
