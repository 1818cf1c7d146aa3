"""Pieces that sources share: numbers, stamps, spellings, stations, city-hours, local hours, weather codes, catalogues,
portals, downloads, files in pieces, refusals of a changed format."""
