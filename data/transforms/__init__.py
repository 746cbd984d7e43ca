"""Transforms of resized images. Imports no array library, so that the table of transforms is read at once."""
