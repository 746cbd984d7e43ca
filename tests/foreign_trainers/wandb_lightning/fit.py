"""Trains through a logger that is made the way Lightning's is."""

import sys

import wandb


class RunLogger:
    """Opens its run when it is first needed; every metric has the trainer's step as its x-axis."""

    def __init__(self, **kwargs):
        self._kwargs = dict(kwargs, resume="allow", anonymous=None)
        self._experiment = None

    @property
    def experiment(self):
        if self._experiment is None:
            if wandb.run is not None:
                self._experiment = wandb.run
            else:
                self._experiment = wandb.init(**self._kwargs)
            if isinstance(self._experiment, wandb.sdk.wandb_run.Run) and getattr(
                self._experiment, "define_metric", None
            ):
                self._experiment.define_metric("trainer/global_step")
                self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self._experiment

    def log_hyperparams(self, params):
        self.experiment.config.update(params, allow_val_change=True)

    def log_metrics(self, metrics, step):
        self.experiment.log(dict(metrics, **{"trainer/global_step": step}))

    def finalize(self, status):
        if self._experiment is not None and status != "success":
            return
        self.experiment.log({"done": 1})


def main():
    given = dict(word[2:].split("=") for word in sys.argv[1:])
    logger = RunLogger(project="segmenter", log_model=True)
    logger.log_hyperparams({"lr": float(given["lr"]), "seed": 7})
    lr = logger.experiment.config.lr
    step = 0
    for epoch in range(2):
        for _ in range(2):
            step += 1
            logger.log_metrics({"train/loss": lr / step, "epoch": epoch}, step)
        logger.log_metrics({"val/loss": abs(lr - 0.02) + 1 / step, "epoch": epoch}, step)
    logger.finalize("success")


main()
