"""Resolving a request: from parameters to a plan of city, interval, representation and versions."""
