"""Paths, parameters and response models of the reader."""
