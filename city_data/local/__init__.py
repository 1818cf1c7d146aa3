"""One machine's platform: its processes, its embedded PostgreSQL and Redis, its tokens."""
