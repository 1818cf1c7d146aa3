"""One machine's platform: processes, embedded PostgreSQL and Redis, tokens."""
