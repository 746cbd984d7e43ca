"""Writes a trainer's profile and a sweep file from what stands in its project (`--init`); runs none of its code."""
