"""The French national schema of mobility counts: sites, their channels, and measures of the channels.
https://schema.data.gouv.fr/etalab/schema-comptage-mobilites-measure

Belongs here: tables of the schema (tables.py), channels (channels.py), measured intervals (measures.py), and the
city-hours of one kind of mobility (hours.py). Does not: any one portal's addresses, which its own provider knows.
"""
