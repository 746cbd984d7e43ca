"""Networks, losses and starting weights of the trainer."""
