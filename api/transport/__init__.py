"""Sockets, limits and the cache of requests: everything before the application's routes."""
