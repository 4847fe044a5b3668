"""Bring the database to the newest migration. Alembic alone changes the schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from backend.db.engine import Database
from backend.errors import ConflictError

ROOT = Path(__file__).resolve().parents[2]


def alembic_config(url: str) -> Config:
    """Alembic's configuration for one database."""
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["url"] = url
    return config


def migrate(database: Database) -> tuple[str | None, str | None]:
    """Upgrade to the newest migration.

    Returns:
        The revision before and the one now; equal where there was nothing to do.
    """
    before = current_revision(database)
    config = alembic_config(database.url)
    newest = ScriptDirectory.from_config(config).get_current_head()
    if before != newest:
        command.upgrade(config, "head")
    return before, newest


def require_ready(database: Database) -> None:
    """Make an empty database; refuse one of another release, which somebody has to upgrade on purpose.

    Raises:
        ConflictError: the database is at another migration.
    """
    found = current_revision(database)
    if found is None:
        migrate(database)
        return
    newest = ScriptDirectory.from_config(alembic_config(database.url)).get_current_head()
    if found != newest:
        raise ConflictError(
            f"The database is at {found}, this Overrule needs {newest}.",
            "Make a copy of it, then bring it there: overrule migrate.",
        )


def current_revision(database: Database) -> str | None:
    """The migration that the database is at; None for an empty one."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
