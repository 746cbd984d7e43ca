"""Networks and losses of the trainer."""
