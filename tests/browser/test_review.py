"""Review by keyboard, as a person does it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from backend.db.engine import Database
from backend.db.models import Judgement, Lease
from backend.db.models.review import Source, Verdict
from backend.intake.sample import load_sample
from tests.browser.conftest import App, press, settle
from tests.ui.scene import HOSTILE, seed

pytestmark = pytest.mark.browser


def verdicts(database: Database) -> list[Verdict | None]:
    with database.read() as session:
        found = select(Judgement.verdict).where(Judgement.source == Source.REVIEW).order_by(Judgement.id)
        return list(session.scalars(found))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def begin(page: Page, key: str = "w") -> None:
    """Open the editor; keys that choose labels are heard from then on."""
    press(page, key)
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    settle(page)


def place(page: Page, number: int) -> None:
    expect(page.get_by_text(f"{number} of 6", exact=True)).to_be_visible()
    settle(page)


def test_every_verdict_by_key(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    place(page, 1)
    press(page, "a")
    place(page, 2)
    assert verdicts(desk.database) == [Verdict.RIGHT]
    expect(page.get_by_text("saved ")).to_be_visible()

    begin(page)
    expect(page.get_by_text("Right labels")).to_be_visible()
    expect(page.get_by_text("Because of")).to_have_count(0)
    press(page, "1")
    press(page, "2")
    expect(page.get_by_role("textbox", name="Reason")).to_have_value(
        '"post" breaks the rules on hate and scam: is hate; is scam.'
    )
    press(page, "s")
    place(page, 3)
    assert verdicts(desk.database)[-1] is Verdict.WRONG_LABELS

    begin(page, "e")
    reason = page.get_by_role("textbox", name="Reason")
    expect(reason).to_be_focused()
    page.keyboard.type(" And it says so.")
    press(page, "Tab")
    press(page, "s")
    place(page, 4)
    assert verdicts(desk.database)[-1] is Verdict.BAD_REASON

    press(page, "t")
    place(page, 5)
    press(page, "d")
    place(page, 6)
    assert verdicts(desk.database)[-2:] == [Verdict.CANNOT_TELL, Verdict.DISCARD]

    press(page, "u")
    place(page, 5)
    expect(page.get_by_text("Taken back.")).to_be_visible()
    assert verdicts(desk.database)[-1] is Verdict.WITHDRAWN
    with desk.database.read() as session:
        reasons = list(
            session.scalars(select(Judgement.reason).where(Judgement.verdict == Verdict.BAD_REASON))
        )
    assert len(reasons) == 1 and str(reasons[0]).endswith("And it says so.")


def test_a_reason_is_saved_out_of_its_field(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    place(page, 1)
    begin(page, "e")
    expect(page.get_by_role("textbox", name="Reason")).to_be_focused()
    page.keyboard.type(" Yes: sss.")
    press(page, "Control+Enter")
    place(page, 2)
    with desk.database.read() as session:
        of_bad = select(Judgement.reason).where(Judgement.verdict == Verdict.BAD_REASON)
        reasons = list(session.scalars(of_bad))
    assert len(reasons) == 1 and str(reasons[0]).endswith(" Yes: sss.")


def test_back_and_the_teachers_words_by_key(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    begin(page)
    press(page, "0")
    reason = page.get_by_role("textbox", name="Reason")
    expect(reason).to_have_value("The post breaks no rule.")
    press(page, "p")
    expect(reason).to_have_value("Because of 0.")
    press(page, "Escape")
    expect(page.get_by_text("Teacher said")).to_be_visible()
    assert verdicts(desk.database) == []


def test_escape_keeps_what_was_typed_until_the_post_is_decided(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    reason = page.get_by_role("textbox", name="Reason")
    begin(page, "e")
    expect(reason).to_be_focused()
    page.keyboard.type(" And more.")
    press(page, "Escape")
    expect(page.get_by_text("Not saved. E brings your words back.")).to_be_visible()
    begin(page)
    press(page, "2")
    reason.fill("My own words.")
    press(page, "Escape")
    expect(reason).to_have_count(0)
    begin(page)
    expect(reason).to_have_value("My own words.")
    press(page, "Escape")
    begin(page, "e")
    expect(reason).to_have_value("Because of 0. And more.")


def test_a_hostile_post_stays_text(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    expect(page.locator(".ov-post")).to_have_text(HOSTILE)
    assert page.locator(".ov-post *:not(mark)").count() == 0
    assert page.locator(".stMain img").count() == 0
    begin(page)
    press(page, "1")
    expect(page.locator(".ov-post")).to_have_text(HOSTILE)
    assert desk.strangers == []


def test_a_key_pressed_twice_decides_one_post(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    place(page, 1)
    page.keyboard.press("d")
    page.keyboard.press("d")
    until(lambda: len(verdicts(desk.database)) > 0)
    place(page, 2)
    page.wait_for_timeout(500)
    assert verdicts(desk.database) == [Verdict.DISCARD]


def test_keys_pressed_in_a_hurry_all_count(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    place(page, 1)
    begin(page)
    for key in ("2", "1", "s"):
        page.keyboard.press(key)
    place(page, 2)
    with desk.database.read() as session:
        stored = session.scalars(select(Judgement).where(Judgement.source == Source.REVIEW)).one()
    assert stored.labels == ("hate", "scam")
    assert stored.reason is not None and "hate and scam" in stored.reason


def test_words_typed_just_before_saving_are_saved(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    place(page, 1)
    begin(page, "e")
    expect(page.get_by_role("textbox", name="Reason")).to_be_focused()
    page.keyboard.type(" Typed last.")
    page.get_by_role("button", name="Save").click()
    place(page, 2)
    with desk.database.read() as session:
        stored = session.scalars(select(Judgement).where(Judgement.source == Source.REVIEW)).one()
    assert stored.reason == "Because of 0. Typed last."


def test_a_reload_or_a_new_tab_keeps_the_post_and_another_browser_gets_another(desk: App) -> None:
    seed(desk.database)
    one = desk.open("review")
    seen = one.locator(".ov-post").inner_text()
    desk.go(one, "review")
    expect(one.locator(".ov-post")).to_have_text(seen)
    again = one.context.new_page()
    one.close()
    desk.go(again, "review")
    expect(again.locator(".ov-post")).to_have_text(seen)
    other = desk.open("review")
    expect(other.locator(".ov-post")).to_be_visible()
    assert other.locator(".ov-post").inner_text() != seen
    with desk.database.read() as session:
        assert len(list(session.scalars(select(Lease)))) == 2


def test_a_post_is_covered_and_uncovered_by_key(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    assert "blur" not in page.locator(".ov-post").evaluate("post => getComputedStyle(post).filter")
    press(page, "b")
    expect(page.locator(".ov-post.ov-blur")).to_be_visible()
    assert "blur" in page.locator(".ov-post").evaluate("post => getComputedStyle(post).filter")
    press(page, "b")
    expect(page.locator(".ov-post.ov-blur")).to_have_count(0)


def test_the_first_page_after_a_start_has_its_frame_and_fits_the_screen(desk: App) -> None:
    with desk.database.write() as session:
        load_sample(session, "tester")
    page = desk.open("review")
    expect(page.get_by_role("link", name="Overview")).to_be_visible()
    expect(page.get_by_text("Teacher said")).to_be_visible()
    for key in ("", "w", "1"):
        if key == "w":
            begin(page)
        elif key:
            press(page, key)
        assert page.locator(".stMain").evaluate("main => main.scrollHeight") <= 800


def test_on_a_narrow_screen_the_card_is_as_high_as_its_post(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    page.set_viewport_size({"width": 400, "height": 800})
    settle(page)
    card = page.locator(".st-key-ov-card-post")
    post = page.locator(".ov-post")
    gap = card.evaluate("card => card.clientHeight") - post.evaluate("post => post.clientHeight")
    assert gap < 120


def test_enter_does_what_the_focused_button_says(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    begin(page)
    press(page, "1")
    expect(page.get_by_role("textbox", name="Reason")).to_be_visible()
    page.get_by_role("button", name="Back").press("Enter")
    expect(page.get_by_role("textbox", name="Reason")).to_have_count(0)
    place(page, 1)
    assert verdicts(desk.database) == []


def test_a_queue_chosen_by_mouse_leaves_the_keys_to_the_desk(desk: App) -> None:
    seed(desk.database)
    page = desk.open("review")
    page.get_by_text("From scratch", exact=True).click()
    expect(page.get_by_text("Nothing waits here")).to_be_visible()
    page.get_by_role("button", name="Review them").click()
    place(page, 1)
    begin(page)
    press(page, "2")
    expect(page.get_by_role("textbox", name="Reason")).to_be_visible()
    press(page, "s")
    place(page, 2)
    assert verdicts(desk.database) == [Verdict.WRONG_LABELS]
