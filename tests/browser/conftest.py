"""A real Chromium on a real app: a process of its own on a free port, with its own home."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from backend.db.engine import Database, get_database
from backend.db.models import Base
from backend.settings import get_settings

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Other tests keep the machine busy.
expect.set_options(timeout=15_000)
START = 60.0
"""Seconds that the app may take to answer."""


@dataclass
class App:
    """The app as a person's browser sees it.

    Attributes:
        requests: everything that pages asked for, from whichever host.
    """

    address: str
    home: Path
    browser: Browser
    database: Database
    requests: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, path: str = "", *, dark: bool = False) -> Page:
        """A page in a browser of its own, with no memory of others."""
        context = self.browser.new_context(
            viewport={"width": 1280, "height": 800}, color_scheme="dark" if dark else "light"
        )
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        # An alert would be a post's script at work.
        page.on("dialog", lambda dialog: self.requests.append(f"dialog: {dialog.message}"))
        self.go(page, path)
        return page

    def go(self, page: Page, path: str = "") -> None:
        """Load a page by its address."""
        page.goto(f"{self.address}/{path}")
        settle(page)

    @property
    def strangers(self) -> list[str]:
        """What was asked of any other host."""
        own = urlsplit(self.address).netloc
        local = ("data:", "blob:")
        return [url for url in self.requests if urlsplit(url).netloc != own and not url.startswith(local)]


def settle(page: Page) -> None:
    """Wait until the page's script has run and everything that it drew is there."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_selector('[data-testid="stSkeleton"]', state="detached")
    page.wait_for_selector('[data-stale="true"]', state="detached")


def press(page: Page, key: str) -> None:
    """Press a key on a page drawn in full, as whoever looks at it does, and wait for what it brings."""
    settle(page)
    page.keyboard.press(key)
    # The page learns of the run it asked for a moment later.
    page.wait_for_timeout(100)
    settle(page)


# A module's, not the session's: while it lives its event loop runs, and another test in the same
# process could start none of its own.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and Path(playwright.chromium.executable_path).exists():
        found = playwright.chromium.executable_path
    if found is None:
        pytest.skip("no Chromium found: apt-get install chromium, or .venv/bin/playwright install chromium")
    browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
    yield browser
    browser.close()


@pytest.fixture
def app(sqlite_database: Database, home: Path, browser: Browser) -> Iterator[App]:
    """The app on the test's own home; when the test ends, no page has asked a foreign host."""
    with _served(home) as address:
        found = App(address, home, browser, sqlite_database)
        yield found
        _close(found)


@pytest.fixture(scope="session")
def served(sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an app that serves many tests, and its home."""
    home = tmp_path_factory.mktemp("served")
    shutil.copy(sqlite_file, home / "overrule.db")
    with _served(home) as address:
        yield address, home


@pytest.fixture
def desk(
    served: tuple[str, Path], browser: Browser, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[App]:
    """The app with nothing in it, for tests that need no worker.

    One process serves all of them, since starting it takes longer than most of them.
    """
    address, served_home = served
    _empty(served_home / "overrule.db")
    monkeypatch.setenv("OVERRULE_HOME", str(served_home))
    get_settings.cache_clear()
    get_database.cache_clear()
    found = App(address, served_home, browser, get_database())
    yield found
    _close(found)


def _close(app: App) -> None:
    for context in app.contexts:
        context.close()
    assert app.strangers == []


def _empty(path: Path) -> None:
    # Rows refer to each other in circles; a connection of sqlite3's own does not look at that.
    with closing(sqlite3.connect(path, timeout=15)) as connection, connection:
        for table in Base.metadata.tables:
            connection.execute(f"DELETE FROM {table}")


@contextmanager
def _served(home: Path) -> Iterator[str]:
    port = _free_port()
    with (home / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ui", f"--server.port={port}"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OVERRULE_HOME": str(home), "OVERRULE_PERSON": "tester"},
            cwd=home,
        )
    try:
        _wait(f"http://127.0.0.1:{port}", process, home / "ui.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"the app did not start:\n{log.read_text('utf-8')}")
