"""Drawing of the synthetic pedestrian set: people, cameras, and the files of a whole set."""
