"""Importing a file from the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from backend.db.models import EvaluationSet, Item, Project
from tests.browser.conftest import App, settle
from tests.ui.scene import HOSTILE, seed

pytestmark = pytest.mark.browser

ROWS = [
    ("1", HOSTILE, "hate"),
    ("2", "A quiet post about bread and butter.", "none"),
    ("3", "Free money here", "scam"),
]


def write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    quoted = ['"' + '","'.join(cell.replace('"', '""') for cell in row) + '"' for row in rows]
    path.write_text("\n".join(["id,text,label", *quoted]) + "\n", "utf-8")
    return path


def drop(page: Page, button: str, path: Path) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.locator('[role="dialog"] input[type="file"]').set_input_files(path)


def import_now(page: Page) -> None:
    page.locator('[role="dialog"]').get_by_role("button", name="Import", exact=True).click()


def test_a_file_becomes_a_project_and_twice_adds_nothing(desk: App, tmp_path: Path) -> None:
    path = write(tmp_path / "my_posts.csv", ROWS)
    page = desk.open()
    drop(page, "Import posts", path)
    expect(page.get_by_text("Labels in the rows that were looked at")).to_be_visible()
    expect(page.get_by_label("Name of the new project")).to_have_value("My posts")
    import_now(page)
    expect(page.get_by_text("3 posts added.")).to_be_visible()
    expect(page.get_by_text("The label “none” means no violation.")).to_be_visible()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("heading", name="My posts")).to_be_visible()
    with desk.database.read() as session:
        assert session.scalar(select(func.count(Item.id))) == 3
        assert session.scalars(select(Project.name)).all() == ["My posts"]

    drop(page, "Import", path)
    import_now(page)
    expect(page.get_by_text("Nothing new: all 3 rows are here already.")).to_be_visible()


def test_rows_that_cannot_be_used_are_told(desk: App, tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", [*ROWS, ("4", "", "hate")])
    page = desk.open()
    drop(page, "Import posts", path)
    expect(page.get_by_text("1 thing to know before importing")).to_be_visible()
    import_now(page)
    expect(page.get_by_text("3 posts added.")).to_be_visible()
    expect(page.get_by_text("1 row could not be used.")).to_be_visible()


def test_a_file_that_is_none_is_refused_with_a_sentence(desk: App, tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes(bytes(range(256)) * 20)
    page = desk.open()
    drop(page, "Import posts", path)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_text("Traceback")).to_have_count(0)
    with desk.database.read() as session:
        assert session.scalar(select(func.count(Project.id))) == 0


def test_a_yes_no_set_asks_what_means_yes(desk: App, tmp_path: Path) -> None:
    seed(desk.database)
    path = write(
        tmp_path / "checks.csv", [("1", "A first check.", "hateful"), ("2", "A second check.", "non-hateful")]
    )
    page = desk.open()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("Evaluation set", exact=True).click()
    expect(page.get_by_text("They are never trained on.")).to_be_visible()
    # The uploader of the other choice stays until the script has run to its end.
    settle(page)
    page.locator('[role="dialog"] input[type="file"]').set_input_files(path)
    page.get_by_text("Only yes or no").click()
    expect(page.get_by_text("Labels that mean a violation")).to_be_visible()
    import_now(page)
    expect(page.get_by_text("The set checks (version 1) has 2 posts, 1 of them violations.")).to_be_visible()
    with desk.database.read() as session:
        assert session.scalars(select(EvaluationSet)).one().positive_labels == ("hateful",)


def test_a_set_with_labels_of_its_own_asks_what_they_stand_for(desk: App, tmp_path: Path) -> None:
    seed(desk.database)
    path = write(
        tmp_path / "checks.csv", [("1", "A first check.", "hateful"), ("2", "A second check.", "non-hateful")]
    )
    page = desk.open()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("Evaluation set", exact=True).click()
    expect(page.get_by_text("They are never trained on.")).to_be_visible()
    settle(page)
    page.locator('[role="dialog"] input[type="file"]').set_input_files(path)
    page.get_by_text("Its own", exact=True).click()
    expect(page.get_by_text("“hateful” stands for")).to_be_visible()
    settle(page)
    page.get_by_role("textbox", name="Language").fill("german")
    page.get_by_role("textbox", name="Language").press("Enter")
    expect(page.get_by_text("'german' is no language's tag.")).to_be_visible()
    page.get_by_role("textbox", name="Language").fill("de")
    page.get_by_role("textbox", name="Language").press("Enter")
    expect(page.get_by_text("is no language's tag.")).to_have_count(0)
    settle(page)
    import_now(page)
    expect(page.get_by_text("“hateful” stands for hate, scam.")).to_be_visible()
    with desk.database.read() as session:
        stored = session.scalars(select(EvaluationSet)).one()
        assert (stored.label_map, stored.language) == ({"hate": "hateful", "scam": "hateful"}, "de")


def test_labels_that_the_policy_does_not_know_are_marked_before_importing(desk: App, tmp_path: Path) -> None:
    seed(desk.database)
    path = write(tmp_path / "posts.csv", [*ROWS, ("4", "Buy now!", "spam")])
    page = desk.open()
    drop(page, "Import", path)
    expect(page.locator(".ov-unknown")).to_have_text("spam 1")
    expect(page.get_by_text("Not in the policy: spam. Rows with such a label are reported")).to_be_visible()
    page.get_by_text("Add labels that the policy does not know").click()
    expect(page.get_by_text("They become categories of a new policy version.")).to_be_visible()


def test_a_second_project_is_the_chosen_one_when_its_posts_are_in(desk: App, tmp_path: Path) -> None:
    seed(desk.database)
    path = write(tmp_path / "more_posts.csv", ROWS)
    page = desk.open()
    drop(page, "Import", path)
    page.get_by_role("combobox", name="Into").click()
    page.get_by_role("option", name="A new project").click()
    expect(page.get_by_label("Name of the new project")).to_have_value("More posts")
    import_now(page)
    # The report's last part; a key that is pressed while it is still being drawn may reach nobody.
    expect(page.get_by_role("button", name="Done")).to_be_visible()
    page.get_by_role("dialog").press("Escape")
    expect(page.get_by_role("heading", name="More posts")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="More posts")).to_be_visible()
