"""A Hydra application; its metrics are dictionaries in dictionaries."""

import hydra
import wandb
from omegaconf import OmegaConf


@hydra.main(version_base=None, config_path=".", config_name="app")
def main(config):
    wandb.init(
        project=config.project,
        config=OmegaConf.to_container(config, resolve=True),
        settings=wandb.Settings(console="off"),
    )
    for epoch in range(config.epochs):
        loss = abs(config.optim.lr - 0.3) + 1 / (epoch + 1)
        wandb.log({"epoch": epoch, "val": {"loss": loss, "acc": 1 - loss / 10}})


main()
