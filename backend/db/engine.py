"""Engine and transactions. One user action is one transaction, opened at the edge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session

from backend.settings import get_settings

# A reader never waits for the writer, and a crash of the program loses nothing.
JOURNAL_MODE = "WAL"
# With WAL this is safe against crashes of the program; only a power cut can lose the last commits.
SYNCHRONOUS = "NORMAL"
# Milliseconds a writer waits for another before it fails.
BUSY_TIMEOUT = 15_000


class Database:
    """One database. `write()` and `read()` each open one transaction."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _make_engine(url)
        self._reader = self.engine.execution_options(overrule_read=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that commits at the end and rolls back on an error."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that sees one state of the database and keeps no writer waiting."""
        with Session(self._reader, expire_on_commit=False) as session:
            # Closing ends the transaction; a rollback would empty the rows that were handed out.
            yield session

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@lru_cache
def get_database() -> Database:
    """The database that the settings name."""
    return Database(get_settings().url)


def _make_engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    path = url.removeprefix("sqlite:///")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT / 1000})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, too late and never immediate.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA journal_mode={JOURNAL_MODE}")
    cursor.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer that first reads and then asks for the lock can fail at once when another wrote
    # in between; taking the lock at the start makes it wait its turn instead.
    reads = connection.get_execution_options().get("overrule_read", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
