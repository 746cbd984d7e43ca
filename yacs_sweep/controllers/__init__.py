"""Who chooses the trials: W&B's sweep server, or an embedded optimiser. Both behind `base.Controller`."""
