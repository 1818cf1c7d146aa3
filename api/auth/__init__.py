"""Authentication and authorisation: tokens, keys, rate limits."""
