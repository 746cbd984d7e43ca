"""A LightningCLI: fit.py fit --config config.yaml --model.lr=0.01. It learns where a thrown ball will land."""

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import LightningCLI
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def throws(number, seed):
    """Speed, angle and head wind of a throw, and how far the ball flies."""
    draw = torch.Generator().manual_seed(seed)
    speed, angle, wind = torch.rand(3, number, generator=draw)
    flight = 2 * (5 + 10 * speed) * torch.sin(1.5 * angle) / 9.81
    distance = (5 + 10 * speed) * torch.cos(1.5 * angle) * flight - 2 * wind * flight**2
    return torch.stack([speed, angle, wind], 1), distance[:, None] / 10


class Throws(pl.LightningDataModule):
    def __init__(self, batch_size: int = 32):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        return DataLoader(TensorDataset(*throws(640, 1)), self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(TensorDataset(*throws(1000, 2)), 500)


class Regressor(pl.LightningModule):
    def __init__(self, lr: float = 0.001, width: int = 8, depth: int = 1):
        super().__init__()
        self.lr = lr
        layers = [part for _ in range(depth) for part in (nn.LazyLinear(width), nn.Tanh())]
        self.net = nn.Sequential(*layers, nn.LazyLinear(1))
        self.net(torch.zeros(1, 3))

    def training_step(self, batch, _):
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


if __name__ == "__main__":
    LightningCLI(Regressor, Throws, seed_everything_default=0)
