"""The migrations lead to the models, on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from backend.db.engine import Database
from backend.db.migrate import current_revision, migrate
from backend.db.models import Base


def test_migrations_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_changes_nothing(database: Database) -> None:
    newest = current_revision(database)
    assert newest is not None
    assert migrate(database) == (newest, newest)
