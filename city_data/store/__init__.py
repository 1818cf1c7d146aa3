"""PostgreSQL and Redis: schema, months (write), series (read), segments, ledger, cache, call budgets.

Belongs here: all storage. Does not: Dagster, or any provider.
"""
