"""What people judged is a line a day among what else happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backend import events
from backend.db.engine import Database
from backend.db.models import Project
from backend.db.models.review import Verdict
from backend.items.repository import ItemRepository
from backend.overview import service as overview
from backend.overview.lately import judged
from backend.overview.service import OverviewService
from backend.overview.views import JudgedPost
from backend.review.service import ReviewService
from tests.backend.build import add_answer, add_item, add_project, add_teacher_run
from tests.backend.overview.test_service import fill

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
RIGHT, WRONG, WITHDRAWN = Verdict.RIGHT, Verdict.WRONG_LABELS, Verdict.WITHDRAWN


def lines(newest: list[JudgedPost], since: datetime | None = None) -> list[tuple[str, str]]:
    return [(one.person, one.text) for one in judged(newest, since)]


def test_a_day_of_each_person_is_a_line() -> None:
    newest = [
        JudgedPost("ada", 3, WRONG, NOON),
        JudgedPost("bob", 4, RIGHT, NOON - timedelta(minutes=1)),
        JudgedPost("ada", 2, WRONG, NOON - timedelta(minutes=2)),
        JudgedPost("ada", 1, RIGHT, NOON - timedelta(days=1)),
    ]
    assert lines(newest) == [
        ("ada", "Judged 2 posts, the teacher wrong on 2."),
        ("bob", "Judged 1 post."),
        ("ada", "Judged 1 post."),
    ]
    assert judged(newest, None)[0].at == NOON
    older = [text for _, text in lines(newest, NOON - timedelta(days=1))]
    assert older == ["Judged 2 posts, the teacher wrong on 2.", "Judged 1 post.", "Judged at least 1 post."]


def test_a_post_counts_once_and_as_it_was_judged_last() -> None:
    again = [JudgedPost("ada", 1, RIGHT, NOON), JudgedPost("ada", 1, WRONG, NOON)]
    assert lines(again) == [("ada", "Judged 1 post.")]
    undone = [JudgedPost("ada", 1, WITHDRAWN, NOON), JudgedPost("ada", 1, WRONG, NOON)]
    assert lines(undone) == []


def judge(database: Database, project: Project, *verdicts: Verdict, person: str = "ada") -> None:
    for verdict in verdicts:
        with database.write() as session:
            review = ReviewService(session, person=person, browser=person, lease_minutes=5)
            item = review.next(project.id)
            assert item is not None
            review.decide(item.id, verdict)


def test_reviews_stand_among_what_else_happened(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.write() as session:
        project = fill(session)
        events.record(session, project.id, "bob", "Did something before.")
        other, policy = add_project(session, name="Other")
        item = add_item(session, other, "A post")
        add_answer(session, add_teacher_run(session, other, policy), item, ("hate",))
        ItemRepository(session).refresh([item.id])
    judge(database, project, RIGHT, RIGHT)
    judge(database, other, RIGHT, person="eve")
    with database.write() as session:
        events.record(session, project.id, "bob", "Did something after.")
    with database.read() as session:
        said = [(one.person, one.text) for one in OverviewService(session).latest(project.id)]
    assert said == [
        ("bob", "Did something after."),
        ("ada", "Judged 2 posts."),
        ("bob", "Did something before."),
    ]
    monkeypatch.setattr(overview, "LOOKED_AT", 2)
    with database.read() as session:
        said = [(one.person, one.text) for one in OverviewService(session).latest(project.id)]
    assert ("ada", "Judged at least 1 post.") in said, "the newest two are one of each project"
