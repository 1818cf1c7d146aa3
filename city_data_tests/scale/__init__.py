"""Figures of hundreds of cities, from generated registries: `python -m city_data_tests.scale`."""
