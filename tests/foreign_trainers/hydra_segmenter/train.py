"""A Hydra application."""

import logging

import hydra

log = logging.getLogger(__name__)


@hydra.main(version_base=None, config_path=".", config_name="config")
def main(config):
    bonus = {"resnet18": 0.0, "resnet50": 0.1}[config.model.backbone]
    for epoch in range(config.train.num_epochs):
        print("\rtraining:  %d%%|#####     | %d/2" % (50 * epoch, epoch), end="\n" if epoch else "\r", flush=True)
        log.info("epoch=%d train_loss=%.3e val_miou=%.4f", epoch, 1 / (epoch + 1), config.optim.lr + bonus)


main()
