from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import select, update

from backend.db.engine import Database
from backend.db.models import Item, Job, Project
from backend.db.models.content import Split
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobKind, JobState
from backend.db.models.review import Verdict
from backend.errors import OverruleError
from backend.overview.service import OverviewService
from backend.policies.service import PolicyService
from backend.review.service import ReviewService
from backend.runs.service import RunService
from backend.teacher.service import TeacherService
from tests.ui.scene import evaluate, open_page, press, read_as_markdown, seed, shown


def train_and_review(database: Database, project: Project) -> None:
    """A run that has finished, and a decision that it does not know."""
    with database.write() as session:
        run = RunService(session).retrain(project.id, person="tester")
        session.get_one(Job, run.job_id).state = JobState.SUCCEEDED
        review = ReviewService(session, person="tester", browser="here", lease_minutes=5)
        item = review.next(project.id)
        assert item is not None
        review.decide(item.id, Verdict.RIGHT)


def test_without_a_project_the_first_step_is_to_import(sqlite_database: Database) -> None:
    app = open_page("overview")
    assert not app.exception and not app.error
    assert "No project yet" in shown(app)
    assert [button.label for button in app.button] == ["Import posts"]


def test_steps_next_step_and_agreement_are_said(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("overview")
    assert not app.exception and not app.error
    said = shown(app)
    assert "6 answers disagree with people's labels." in said
    assert "They agree on **24 of 30 posts** (80%)" in said
    assert "2 false alarms, 2 missed, 2 with other labels" in said
    assert "next</b>" in said


def test_there_is_one_primary_button(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("overview")
    assert [button.label for button in app.button if button.proto.type == "primary"] == ["Review them"]


def test_the_next_step_leads_to_its_page(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = press(open_page("overview"), "Review them")
    assert not app.exception
    assert "Teacher said" in shown(app)


def test_retraining_is_offered_after_a_first_run_only(sqlite_database: Database) -> None:
    seed(sqlite_database)
    assert "Retrain" not in [button.label for button in open_page("overview").button]


def test_retraining_makes_a_job(sqlite_database: Database) -> None:
    project = seed(sqlite_database)
    train_and_review(sqlite_database, project)
    app = open_page("overview")
    assert "1 decision is new since run 1." in shown(app)
    app = press(app, "Retrain")
    assert not app.exception and not app.error
    with sqlite_database.read() as session:
        jobs = session.scalars(select(Job).where(Job.project_id == project.id)).all()
    assert [job.kind for job in jobs] == [JobKind.TRAIN, JobKind.TRAIN]


def test_a_difference_is_coloured_where_the_intervals_lie_apart(sqlite_database: Database) -> None:
    project = seed(sqlite_database, posts=60)
    train_and_review(sqlite_database, project)
    with sqlite_database.write() as session:
        policy = PolicyService(session).newest(project.id)
        run = RunService(session).get(project.id, 1)
        run.prompt_hash = "of the adapter"
    evaluate(sqlite_database, project, policy, kind=ModelKind.BASE, right=0.5)
    evaluate(sqlite_database, project, policy, kind=ModelKind.RUN, right=0.505, run_id=run.id)
    said = shown(open_page("overview"))
    under = '</span><div class="ov-faint ov-small">'
    assert re.search(rf'<span class="ov-faint">▲ \+\.\d\d{under}\.\d\d to \.\d\d<', said)
    assert 'class="ov-good"' not in said and 'class="ov-bad"' not in said
    assert "with 95% intervals. The challenger's difference is to the champion; it is coloured" in said
    evaluate(sqlite_database, project, policy, kind=ModelKind.RUN, right=1.0, run_id=run.id)
    app = open_page("overview")
    assert '<span class="ov-good">▲ +' in shown(app)
    # Streamlit writes a page's bare strings onto it.
    assert "A figure and its" not in shown(app)


def test_why_nothing_can_be_learned_is_said_below_the_cards(sqlite_database: Database) -> None:
    project = seed(sqlite_database)
    train_and_review(sqlite_database, project)
    with sqlite_database.write() as session:
        session.execute(update(Item).values(split=Split.TEST))
    app = press(open_page("overview"), "Retrain")
    assert "no training row" in app.error[0].value
    assert not [column for column in app.columns if column.error]


def test_an_error_of_a_service_is_a_sentence(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(sqlite_database)

    def fail(self: TeacherService, project_id: int) -> None:
        raise OverruleError("The teacher's answers are *gone*.", "Import them again.")

    monkeypatch.setattr(TeacherService, "agreement", fail)
    app = open_page("overview")
    assert not app.exception
    assert app.error[0].value == "The teacher\\'s answers are \\*gone\\*\\.  \nImport them again\\."


def test_what_nobody_foresaw_is_said_calmly_and_logged(
    sqlite_database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(sqlite_database)

    def fail(self: OverviewService, project_id: int) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(OverviewService, "standing", fail)
    app = open_page("overview")
    assert not app.exception
    assert "reason that Overrule did not foresee" in app.error[0].value
    assert "a secret detail" not in shown(app)
    log = (home / "logs" / "app.log").read_text("utf-8")
    assert "Traceback" in log and "a secret detail" in log


def test_a_project_cannot_smuggle_markdown_into_the_heading(sqlite_database: Database) -> None:
    seed(sqlite_database)
    with sqlite_database.write() as session:
        session.scalars(select(Project)).one().name = "![x](https://stranger.example/a.png)"
    app = open_page("overview")
    assert "![x]" not in read_as_markdown(app)
