"""The HTTP reader. It reads the store and the registry; it knows neither Dagster nor any provider."""
