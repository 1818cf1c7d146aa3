"""PostgreSQL and Redis: schema, months (write), series (read), segments, ledger, cache, call budgets.

Belongs here: all storage, its records in every format, plans and ids of stored versions. Does not: Dagster, any
provider, or HTTP.
"""
