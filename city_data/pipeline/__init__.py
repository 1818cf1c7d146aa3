"""Decisions about months, without Dagster: sources, fetching, building, settling, drift, replay, retention."""
