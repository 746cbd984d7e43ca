"""Evaluation: feature extraction, distances, re-ranking, ranking metrics and ranked lists."""
