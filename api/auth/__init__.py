"""Authorisation: tokens, keys, callers' rates."""
