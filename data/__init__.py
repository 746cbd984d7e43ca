"""Data sets, samplers, transforms and loaders of the trainer."""

from data.datasets.base import DatasetError, ReIDDataset, Sample

__all__ = ["DatasetError", "ReIDDataset", "Sample"]
