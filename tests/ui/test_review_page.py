from __future__ import annotations

import re

from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from backend.db.engine import Database
from backend.db.models import Item, Judgement, Project
from backend.db.models.content import Split
from backend.db.models.review import Source, Verdict
from backend.items.repository import ItemRepository
from backend.policies.service import PolicyService
from backend.review.service import ReviewService
from tests.backend.build import add_answer, add_item, add_judgement, add_teacher_run
from tests.ui.scene import HOSTILE, open_page, press, read_as_markdown, seed, shown
from training.policy import Category


def latest(database: Database) -> Judgement:
    with database.read() as session:
        return session.scalars(
            select(Judgement).where(Judgement.source == Source.REVIEW).order_by(Judgement.id.desc()).limit(1)
        ).one()


def start(database: Database) -> AppTest:
    seed(database)
    return open_page("review")


def test_without_a_project_the_page_says_where_to_begin(sqlite_database: Database) -> None:
    app = open_page("review")
    assert not app.exception and not app.error
    assert "Nothing to review" in shown(app)


def test_the_first_post_is_one_that_disagrees_with_gold(sqlite_database: Database) -> None:
    app = start(sqlite_database)
    assert not app.exception and not app.error
    assert "<b>1 of 6</b>" in shown(app)
    assert "disagrees with gold" in shown(app)
    keys = {button.label: button.proto.shortcut for button in app.button}
    assert {"Teacher is right": "a", "Wrong labels": "w", "Bad reason": "e"}.items() <= keys.items()
    assert {"Can't tell": "t", "Discard": "d", "Undo": "u", "Cover": "b"}.items() <= keys.items()


def test_a_hostile_post_is_characters(sqlite_database: Database) -> None:
    app = start(sqlite_database)
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown(app)
    assert "<img" not in shown(app)
    assert "![seen]" not in read_as_markdown(app)
    assert HOSTILE not in read_as_markdown(app)


def test_right_is_stored_and_the_next_post_shows(sqlite_database: Database) -> None:
    app = press(start(sqlite_database), "Teacher is right")
    assert not app.exception and not app.error
    assert latest(sqlite_database).verdict is Verdict.RIGHT
    assert "saved " in shown(app)
    assert "<b>2 of 6</b>" in shown(app)


def test_cannot_tell_and_discard_are_stored(sqlite_database: Database) -> None:
    app = press(start(sqlite_database), "Can't tell")
    assert latest(sqlite_database).verdict is Verdict.CANNOT_TELL
    press(app, "Discard")
    assert latest(sqlite_database).verdict is Verdict.DISCARD


def test_wrong_labels_put_the_teachers_words_aside(sqlite_database: Database) -> None:
    app = press(start(sqlite_database), "Wrong labels")
    assert "Because of 0." not in shown(app)
    app = press(app, "Save")
    assert "Choose the labels first." in shown(app)
    app = press(app, "Scam")
    assert app.text_area[0].value == "The post breaks the rule on scam: is scam."
    app = press(app, "Teacher's words")
    assert app.text_area[0].value == "Because of 0."
    app = press(press(app, "Compose anew"), "Save")
    stored = latest(sqlite_database)
    assert stored.verdict is Verdict.WRONG_LABELS
    assert stored.labels == ("scam",)
    assert stored.reason == "The post breaks the rule on scam: is scam."


def test_no_violation_takes_back_other_labels(sqlite_database: Database) -> None:
    app = press(press(press(start(sqlite_database), "Wrong labels"), "Scam"), "No violation")
    press(app, "Save")
    assert latest(sqlite_database).labels == ()


def test_a_reason_written_by_hand_survives_another_label(sqlite_database: Database) -> None:
    app = press(press(start(sqlite_database), "Wrong labels"), "Scam")
    app.text_area[0].set_value("My own words.").run()
    app = press(app, "Hate")
    assert app.text_area[0].value == "My own words."


def test_the_same_labels_as_the_teachers_are_refused_and_nothing_is_lost(sqlite_database: Database) -> None:
    app = press(press(start(sqlite_database), "Wrong labels"), "Hate")
    app = press(app, "Save")
    assert "These are the labels that the teacher gave" in app.error[0].value
    assert app.text_area[0].value


def test_a_bad_reason_is_mended_from_the_teachers_words(sqlite_database: Database) -> None:
    app = press(start(sqlite_database), "Bad reason")
    assert app.text_area[0].value == "Because of 0."
    app.text_area[0].set_value("It demeans people.").run()
    press(app, "Save")
    stored = latest(sqlite_database)
    assert stored.verdict is Verdict.BAD_REASON
    assert stored.reason == "It demeans people."
    assert stored.labels == ("hate",)


def test_what_was_written_waits_until_the_post_is_decided(sqlite_database: Database) -> None:
    app = press(press(start(sqlite_database), "Wrong labels"), "Scam")
    app.multiselect[0].set_value(["post number"]).run()
    app.text_area[0].set_value("My own words.").run()
    app = press(press(app, "Back"), "Bad reason")
    assert app.text_area[0].value == "Because of 0."
    app = press(press(app, "Back"), "Wrong labels")
    assert app.text_area[0].value == "My own words."
    assert app.multiselect[0].value == ["post number"]
    app = press(press(press(app, "Back"), "Discard"), "Undo")
    assert not press(app, "Wrong labels").text_area


def test_what_overturns_gold_says_so_and_is_not_the_loud_button(sqlite_database: Database) -> None:
    app = start(sqlite_database)
    assert re.search("“Teacher is right” replaces gold: .*no violation.* → .*Hate", shown(app))
    assert not [button for button in app.button if button.proto.type == "primary"]
    app = press(app, "Bad reason")
    assert re.search("Saving replaces gold: .*no violation.* → .*Hate", shown(app))
    assert "Saving replaces" not in shown(press(app, "No violation"))


def test_a_bad_reason_for_labels_that_gold_denies_lets_the_person_choose(sqlite_database: Database) -> None:
    app = press(press(start(sqlite_database), "Bad reason"), "No violation")
    assert app.text_area[0].value == "The post breaks no rule."
    press(app, "Save")
    stored = latest(sqlite_database)
    assert (stored.verdict, stored.labels) == (Verdict.WRONG_LABELS, ())


def test_what_a_judgement_of_a_test_post_changes_is_said(sqlite_database: Database) -> None:
    seed(sqlite_database, posts=2)
    with sqlite_database.write() as session:
        session.scalars(select(Item).where(Item.text == HOSTILE)).one().split = Split.TEST
    app = open_page("review")
    assert "Test post: your judgement changes what students are measured by." in shown(app)
    assert "Test post" not in shown(press(app, "Discard"))


def test_where_the_teacher_agrees_right_is_the_loud_button(sqlite_database: Database) -> None:
    seed(sqlite_database, posts=2)
    app = press(open_page("review"), "Teacher is right")
    assert [button.label for button in app.button if button.proto.type == "primary"] == ["Right"]
    app = press(app, "Bad reason")
    assert re.search("A better reason for .*Hate.*gold.*Hate", shown(app))
    assert "Scam" not in [button.label for button in app.button]


def test_undo_brings_the_post_back(sqlite_database: Database) -> None:
    app = start(sqlite_database)
    first = shown(app)
    app = press(press(app, "Teacher is right"), "Undo")
    assert "Taken back." in shown(app)
    assert "<b>1 of 6</b>" in shown(app)
    assert ("img src=x" in first) == ("img src=x" in shown(app))


def test_undo_without_a_decision_says_so(sqlite_database: Database) -> None:
    app = press(start(sqlite_database), "Undo")
    assert "nothing of yours to take back" in shown(app)


def test_a_post_is_covered_by_key_and_by_setting(sqlite_database: Database) -> None:
    app = press(start(sqlite_database), "Cover")
    assert "ov-post ov-blur" in shown(app)
    assert "ov-post ov-blur" not in shown(press(app, "Uncover"))
    app.toggle[0].set_value(True).run()
    assert "ov-post ov-blur" in shown(press(app, "Teacher is right"))
    with sqlite_database.read() as session:
        assert session.scalars(select(Project)).one().blur


def test_posts_without_an_answer_are_judged_from_scratch(sqlite_database: Database) -> None:
    project = seed(sqlite_database)
    with sqlite_database.write() as session:
        item = add_item(session, project, "Nobody said anything about this one.")
        item.queue = "scratch"  # type: ignore[assignment]
    app = open_page("review")
    app.segmented_control[0].set_value("scratch").run()
    assert "Nobody said anything about this one." in shown(app)
    press(press(app, "Scam"), "Save")
    stored = latest(sqlite_database)
    assert stored.verdict is Verdict.FROM_SCRATCH
    assert stored.labels == ("scam",)


def test_somebody_elses_post_is_not_shown(sqlite_database: Database) -> None:
    project = seed(sqlite_database)
    with sqlite_database.write() as session:
        other = ReviewService(session, person="somebody", browser="other", lease_minutes=5)
        first = other.next(project.id)
    assert first is not None
    app = open_page("review")
    assert first.external_id not in shown(app)


def test_an_empty_queue_says_what_is_next(sqlite_database: Database) -> None:
    seed(sqlite_database, answered=False)
    app = open_page("review")
    assert not app.exception and not app.error
    assert "Nothing waits here" in shown(app)
    assert "wait for a teacher" in shown(app)


def test_an_answer_stands_beside_the_rules_that_it_was_given_under(sqlite_database: Database) -> None:
    project = seed(sqlite_database, posts=0)
    with sqlite_database.write() as session:
        policies = PolicyService(session)
        policy = policies.newest(project.id)
        item = add_item(session, project, "Two things at once.")
        add_judgement(session, policy, item, ())
        add_answer(session, add_teacher_run(session, project, policy), item, ("hate", "scam"))
        ItemRepository(session).refresh([item.id])
    app = open_page("review")
    assert "under policy version" not in shown(app)
    with sqlite_database.write() as session:
        hate, scam = Category(code="hate", name="Hate"), Category(code="scam", name="Scam", definition="new.")
        PolicyService(session).create_version(project.id, [hate, scam], person="tester")
    said = shown(app.run())
    assert "<div><b>Hate:</b> is hate.</div><div><b>Scam:</b> is scam.</div>" in said
    assert "teacher-1, under policy version 1" in said


def test_a_removed_category_cannot_be_called_right(sqlite_database: Database) -> None:
    seed(sqlite_database)
    with sqlite_database.write() as session:
        project = session.scalars(select(Project)).one()
        PolicyService(session).create_version(
            project.id,
            [Category(code="scam", name="Scam", definition="is scam.")],
            person="tester",
            fates={"hate": None},
        )
        waiting = session.scalars(select(Item).where(Item.sent_back)).all()
    assert waiting
    app = open_page("review")
    assert next(button for button in app.button if button.proto.shortcut == "a").disabled
