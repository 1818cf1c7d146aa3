"""The routes of the reader: paths, parameters and response models."""
