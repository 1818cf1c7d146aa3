"""The HTTP reader. It reads the store and the registry, and imports neither Dagster nor any provider."""
