"""The read-only role of the reader. Belongs here: its grants. Does not: logins and their passwords.

A login of the reader becomes a member: `CREATE ROLE api LOGIN PASSWORD '...' IN ROLE city_data_reader`.
"""

from __future__ import annotations

import sqlalchemy as sa

READER = "city_data_reader"

# Roles belong to the whole cluster: another database's migration may create this one at the same moment.
_MAKE = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'city_data_reader')
     AND EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolcreaterole OR rolsuper)) THEN
    CREATE ROLE city_data_reader NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
_EXISTS = sa.text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)")
# Only tables of this user: it cannot grant those of others in the same database.
_OWN = sa.text(
    "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    " AND NOT relispartition AND pg_has_role(relowner, 'USAGE')"
)
# For tables created later by this user: next month's partitions, next release's tables.
_LATER = f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {READER}"


def grant_reader(connection: sa.Connection) -> bool:
    """Grant the reader's role all present and future tables; create it where this user may. False: no such role.

    Run after every migration and not by one: the role may be newer than the tables, and restores do not create it.
    """
    connection.execute(sa.text(_MAKE))
    if not connection.execute(_EXISTS, {"role": READER}).scalar_one():
        return False
    tables = connection.execute(_OWN).scalars().all()
    connection.execute(sa.text(f"GRANT USAGE ON SCHEMA public TO {READER}"))
    if tables:
        connection.execute(sa.text(f"GRANT SELECT ON {', '.join(tables)} TO {READER}"))
    connection.execute(sa.text(_LATER))
    return True
