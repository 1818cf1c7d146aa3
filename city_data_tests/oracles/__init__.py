"""Oracles: each source's month computed again, plainly and slowly, from the bytes and the format's description.

Belongs here: one module a provider, `month(payloads, request)`, with the standard library alone; what the modules share
is in plain.py. Does not: any helper of the product, whose mistakes an oracle must not share.
A month is `{start of the interval, UTC: {column: number or None}}`; an interval without any number may be left out.
"""
