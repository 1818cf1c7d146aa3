"""The terminal: commands, progress, tables, staying up. `main` is the entry point of `city-data`."""

from city_data.cli.commands import main

__all__ = ["main"]
