"""Readers of the published data sets, one a module: from folders and lists to a ReIDDataset."""
