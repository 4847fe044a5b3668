"""What a run would ask, starting it, and how runs went."""

from __future__ import annotations

import subprocess
import sys

import pytest

from backend.db.engine import Database
from backend.db.models import Job
from backend.db.models.content import Agreement
from backend.db.models.jobs import JobKind, JobState
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.items.repository import ItemRepository
from backend.jobs.processes import start_time
from backend.settings import Settings
from backend.teacher.results import CategoryAgreement, TeacherOverrides, TeachPayload
from backend.teacher.service import TeacherService
from tests.backend.build import add_answer, add_item, add_judgement, add_project, add_teacher_run
from tests.backend.teacher.posts import add_posts

SETTINGS = Settings(teacher_url="http://127.0.0.1:9/v1", teacher_model="teacher-1")


def test_a_plan_says_what_is_asked_and_what_it_costs(database: Database) -> None:
    project = add_posts(database, "scam: " + "a" * 394, "none: " + "b" * 394, "? " + "c" * 398)
    with database.read() as session:
        service = TeacherService(session, SETTINGS)
        plan = service.plan(project)
        some = service.plan(project, TeachPayload(limit=2))
    assert (plan.unanswered, plan.wanted, plan.to_recheck, plan.invalid) == (3, 3, 0, 0)
    assert (plan.model, plan.endpoint, plan.has_key) == ("teacher-1", "http://127.0.0.1:9/v1", False)
    assert plan.prompt_tokens == pytest.approx(3 * (len(plan.prompt) + 400) / 4, rel=0.05)
    assert plan.answer_tokens == 450
    assert "is scam." in plan.prompt
    assert (some.wanted, some.unanswered) == (2, 3)
    assert some.prompt_tokens == pytest.approx(plan.prompt_tokens * 2 / 3, abs=2)


def test_a_plan_counts_rechecks_of_the_same_conversation_only(database: Database) -> None:
    with database.write() as session:
        project, policy = add_project(session)
        prompt = TeacherService(session, SETTINGS).prompt(project.id)
        runs = {name: add_teacher_run(session, project, policy) for name in ("same", "model", "prompt")}
        runs["same"].prompt_hash = runs["model"].prompt_hash = prompt.hash
        runs["model"].model = "another"
        items = {}
        for name, run in {**runs, "done": runs["same"], "right": runs["same"]}.items():
            items[name] = add_item(session, project, name)
            add_judgement(session, policy, items[name], ("hate",))
            add_answer(session, run, items[name], ("hate",) if name == "right" else ("scam",))
        add_answer(session, runs["same"], items["done"], ("scam",), round=1)
        ItemRepository(session).refresh(item.id for item in items.values())
        service = TeacherService(session, SETTINGS)
        assert service.plan(project.id).to_recheck == 1
        with_other = service.plan(project.id, TeachPayload(overrides=TeacherOverrides(model="another")))
        assert with_other.to_recheck == 1


def test_starting_makes_a_job_for_the_worker(database: Database) -> None:
    project = add_posts(database, "scam: one", "none: two")
    with database.write() as session:
        job = TeacherService(session, SETTINGS).start(project, recheck=False, limit=1, person="ann")
    assert (job.kind, job.state, job.created_by) == (JobKind.TEACH, JobState.QUEUED, "ann")
    assert job.title == "Ask teacher-1 about 1 post"
    assert TeachPayload.model_validate(job.payload) == TeachPayload(recheck=False, limit=1)


def test_the_key_is_never_stored(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "sk-very-secret")
    project = add_posts(database, "one")
    with database.write() as session:
        overrides = TeacherOverrides(url="http://127.0.0.1:9/v1", key_env="TEACHER_KEY")
        job = TeacherService(session, SETTINGS).start(project, overrides=overrides, person="ann")
    assert "sk-very-secret" not in str(job.payload)
    assert "TEACHER_KEY" in str(job.payload)


def test_a_second_run_beside_the_first_is_refused(database: Database) -> None:
    project = add_posts(database, "one")
    with database.write() as session:
        TeacherService(session, SETTINGS).start(project, person="ann")
    with database.write() as session, pytest.raises(ConflictError, match="waits to ask"):
        TeacherService(session, SETTINGS).start(project, person="bob")


def test_a_dead_run_of_a_command_is_in_nobody_s_way(database: Database) -> None:
    project = add_posts(database, "one")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_time(process.pid)
    process.communicate()
    with database.write() as session:
        dead = TeacherService(session, SETTINGS).start_here(project, TeachPayload(), person="ann")
        dead.pid, dead.pid_started = process.pid, started
    with database.write() as session:
        TeacherService(session, SETTINGS).start(project, person="bob")
        assert session.get_one(Job, dead.id, populate_existing=True).state is JobState.INTERRUPTED


def test_what_cannot_be_started_says_why(database: Database) -> None:
    with database.write() as session:
        project, _ = add_project(session)
        service = TeacherService(session, SETTINGS)
        with pytest.raises(InvalidInputError, match="Every post of Posts has an answer"):
            service.start(project.id, person="ann")
        add_item(session, project, "one")
        with pytest.raises(InvalidInputError, match="not the address"):
            service.start(project.id, overrides=TeacherOverrides(url="nowhere"), person="ann")
        with pytest.raises(NotFoundError):
            service.start(project.id + 1, person="ann")


def test_runs_and_agreement(database: Database) -> None:
    said = {
        # text: (people, the teacher's first answer, the recheck)
        "right": (("scam",), ("scam",), None),
        "right none": ((), (), None),
        "false alarm": ((), ("scam",), ()),
        "missed": (("hate",), (), ()),
        "other": (("hate", "scam"), ("scam",), ("scam", "hate")),
        "unread": (("hate",), None, None),
    }
    with database.write() as session:
        project, policy = add_project(session)
        run = add_teacher_run(session, project, policy)
        run.wanted, run.failed = 9, {"timeout": 2}
        ids = []
        for text, (people, first, again) in said.items():
            item = add_item(session, project, text)
            ids.append(item.id)
            add_judgement(session, policy, item, people)
            add_answer(session, run, item, first)
            if again is not None:
                add_answer(session, run, item, again, round=1)
        unjudged = add_item(session, project, "unjudged")
        add_answer(session, run, unjudged, ("hate",))
        add_item(session, project, "unanswered")
        ItemRepository(session).refresh([*ids, unjudged.id])
        other, _ = add_project(session, name="Other")
        service = TeacherService(session, SETTINGS)
        (summary,) = service.runs(project.id)
        table = service.agreement(project.id)
        assert service.runs(other.id) == []
        assert service.agreement(other.id).compared == 0
    assert (summary.wanted, summary.answered, summary.agrees, summary.differs) == (9, 6, 2, 3)
    assert (summary.invalid, summary.errors, summary.finished) == (1, {"timeout": 2}, True)
    assert (summary.rechecked, summary.mended) == (3, 2)
    assert table.counts == {
        Agreement.AGREES: 2,
        Agreement.FALSE_ALARM: 1,
        Agreement.MISSED: 1,
        Agreement.OTHER_LABELS: 1,
        Agreement.INVALID: 1,
        Agreement.UNVERIFIED: 1,
        Agreement.UNANSWERED: 1,
    }
    assert (table.compared, table.agrees, table.differs) == (5, 2, 3)
    assert table.categories == (
        CategoryAgreement("hate", "Hate", both=0, teacher_only=0, people_only=2),
        CategoryAgreement("scam", "Scam", both=2, teacher_only=1, people_only=0),
    )
