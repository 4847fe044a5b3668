"""Alembic's entry: run migrations on the database that the caller or the settings name."""

from alembic import context

from backend.db.engine import Database
from backend.db.models import Base
from backend.settings import get_settings

database = Database(context.config.attributes.get("url") or get_settings().url)

with database.engine.connect() as connection:
    # A batch rebuilds a SQLite table; the foreign keys that point at it must not act meanwhile.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        user_module_prefix="types.",
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
database.dispose()
