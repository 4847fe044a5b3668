"""The loop in a browser: build a version, train on it, see what the student is worth."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from backend.base_models import DEFAULT, local_folder
from backend.db.engine import Database
from backend.db.models import Item, Run
from backend.settings import get_settings
from tests.browser.conftest import App, settle
from tests.tiny_model import make_tiny_model
from tests.ui.scene import HOSTILE, seed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 240_000
"""Milliseconds for a fine-tune on a computer that has other things to do."""


@pytest.fixture(params=["tiny", pytest.param(DEFAULT, marks=pytest.mark.base_model)])
def base_model(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> str:
    """The base model that the settings name, for the app and for the worker."""
    name = DEFAULT if request.param == DEFAULT else str(make_tiny_model(tmp_path / "TinyModel"))
    if local_folder(name, get_settings()) is None:
        pytest.skip("the default base model is not here: .venv/bin/overrule models pull")
    monkeypatch.setenv("OVERRULE_BASE_MODEL", name)
    get_settings.cache_clear()
    return name


@pytest.fixture
def worker(base_model: str, sqlite_database: Database, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as the start command brings it: a process of its own."""
    with (home / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "backend", "worker"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OVERRULE_HOME": str(home)},
        )
    yield process
    process.terminate()
    process.wait(60)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_timeout(200)
    settle(page)


def test_build_train_evaluate(
    base_model: str, worker: subprocess.Popen[bytes], app: App, sqlite_database: Database
) -> None:
    seed(sqlite_database, posts=20 if base_model == DEFAULT else 40)
    page = app.open("dataset")
    page.get_by_role("tab", name="Versions").click()
    settle(page)
    press(page, "Build version")
    expect(page.get_by_role("heading", name="Version 1")).to_be_visible()
    _see_what_is_taught(page)
    press(page, "Train on it")
    expect(page.get_by_role("combobox", name="Dataset version")).to_have_value(
        re.compile("Version 1 · Review")
    )
    press(page, "Train")
    expect(page.get_by_role("heading", name="Run 1")).to_be_visible()
    # Nobody touches the page: it follows the run by itself.
    expect(page.get_by_role("button", name="See the evaluation")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_test_id("stVegaLiteChart")).to_be_visible()
    press(page, "See the evaluation")
    table = page.locator("table.ov-grid").first
    expect(table).to_contain_text("Run 1")
    expect(table).to_contain_text("Base model")
    expect(table).to_contain_text("champion")
    expect(page.locator("table.ov-heat-map")).to_have_count(2)
    with sqlite_database.read() as session:
        assert session.scalars(select(Run)).one().prompt_hash
    _promote(page, sqlite_database)


def _see_what_is_taught(page: Page) -> None:
    page.get_by_role("button", name="What is taught of").first.click(force=True)
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".ov-learned").first).to_be_visible()
    expect(dialog.locator(".ov-given").first).to_contain_text("You moderate posts")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def _promote(page: Page, database: Database) -> None:
    press(page, "Promote Run 1")
    page.get_by_role("dialog").get_by_role("button", name="Promote run 1").click()
    champion = page.locator("table.ov-grid tr", has_text="Run 1").first
    expect(champion).to_contain_text("champion")


def test_a_row_opens_by_a_click_anywhere_and_by_the_keyboard(desk: App) -> None:
    seed(desk.database)
    page = desk.open("dataset")
    page.locator(".ov-row", has_text="post number 7,").click(force=True)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This is post number 7, and it says ")
    expect(dialog).to_contain_text("Label that came with the post")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    with desk.database.read() as session:
        hostile = session.scalars(select(Item).where(Item.text == HOSTILE)).one()
    page.get_by_role("button", name=f"Open {hostile.external_id}").press("Enter")
    expect(dialog).to_contain_text("![seen](https://stranger.example/pixel.png) <img src=x")
    expect(page.locator("img[src*=stranger], img[src=x]")).to_have_count(0)


def test_a_version_is_downloaded(desk: App) -> None:
    seed(desk.database)
    page = desk.open("dataset")
    page.get_by_role("tab", name="Versions").click()
    settle(page)
    press(page, "Build version")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download dataset-version-1.jsonl").click()
    lines = Path(caught.value.path()).read_text("utf-8").splitlines()
    assert '"messages"' in lines[0]
