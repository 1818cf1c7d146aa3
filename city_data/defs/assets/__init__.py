"""The three assets of a city and dataset: raw, monthly, cache."""
