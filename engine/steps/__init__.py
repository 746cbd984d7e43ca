"""Parts of a training step, each to be read alone: accumulation, loss scaling, clipping, several processes."""
