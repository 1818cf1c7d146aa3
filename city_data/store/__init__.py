"""PostgreSQL and Redis: schema, months (write), series (read), segments, ledger, cache, call budgets.

Belongs here: everything that is stored and how. Does not: Dagster, or any provider.
"""
