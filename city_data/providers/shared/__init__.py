"""Pieces that sources share: numbers, stations, city-hours, local hours, weather codes, catalogues, downloads."""
