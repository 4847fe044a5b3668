"""Cells that are found, begun, gone on with and scored, on both databases."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Job, PolicyVersion, Project, Run
from backend.db.models.content import Item, Split
from backend.db.models.curation import Handling
from backend.db.models.jobs import JobState
from backend.errors import ConflictError
from backend.jobs.payloads import ScorePayload, TrainPayload
from backend.policies.service import PolicyService
from backend.runs.choices import configure
from backend.settings import get_settings
from backend.study.grid import Cell
from backend.study.scored import Reader
from backend.study.service import LEARNED, Study, StudyService
from tests.backend.build import add_item, add_judgement
from tests.backend.evaluation.build import add_yes_no_set
from tests.backend.runs.build import add_decided_project, refresh, write_card
from tests.backend.runs.test_service import finish
from training.prompt import Form

DROP, BOTH = Cell(Handling.DROP, "direct", 0), Cell(Handling.DROP, "both", 0)


def world(session: Session) -> tuple[Project, Study]:
    project, policy = add_decided_project(session, wrong=4)
    other = add_yes_no_set(session, project, policy, [("one", True), ("two", False)])
    study = Study(project.id, configure("quick"), "quick", None, (other.id,), "ada")
    return project, study


def trained(session: Session, run: Run, *forms: Form) -> None:
    """Do what the worker and the trainer do, and leave the adapter's card."""
    write_card(finish(session, run), *forms)


def runs(session: Session) -> list[Run]:
    return session.query(Run).order_by(Run.number).all()


def test_what_a_version_leaves_out_as_a_leak_is_counted(database: Database) -> None:
    with database.write() as session:
        project, study = world(session)
        service = StudyService(session)
        test = session.query(Item).filter_by(project_id=project.id, split=Split.TEST).first()
        assert test is not None
        repeated = add_item(session, project, f"{test.text}!")
        policy = PolicyService(session).newest(project.id)
        add_judgement(session, policy, repeated, ("scam",))
        refresh(session, project)
        assert service.build(study, Cell(Handling.REVIEW, "direct", 0)).leaking == 1


def test_a_cell_is_an_ordinary_run_and_is_begun_once(database: Database) -> None:
    with database.write() as session:
        _, study = world(session)
        service = StudyService(session)
        learned = service.build(study, DROP)
        assert (learned.rows, service.build(study, DROP)) == (8, learned)
        assert service.trained(study, DROP, learned) is None
        [job_id] = service.begin(study, DROP, learned)
        assert service.begin(study, DROP, learned) == (job_id,), "it waits already"
        [run] = runs(session)
        payload = TrainPayload.model_validate(session.get_one(Job, job_id).payload)
        assert (payload.learned, payload.set_ids[1:]) == (LEARNED, study.set_ids)
        assert (run.config["answers"], run.seed, run.preset) == ("direct", 0, "quick")
        trained(session, run, "direct")
        assert service.begin(study, DROP, learned) == ()
        assert len(runs(session)) == 1


def test_what_broke_off_goes_on_and_other_settings_are_other_students(database: Database) -> None:
    with database.write() as session:
        _, study = world(session)
        service = StudyService(session)
        learned = service.build(study, DROP)
        [job_id] = service.begin(study, DROP, learned)
        for state in (JobState.STOPPED, JobState.FAILED, JobState.INTERRUPTED):
            session.get_one(Job, job_id).state = state
            session.flush()
            assert service.begin(study, DROP, learned) == (job_id,)
            assert session.get_one(Job, job_id, populate_existing=True).state is JobState.QUEUED
        assert len(runs(session)) == 1
        others = (
            (study, BOTH),
            (study, replace(DROP, seed=1)),
            (replace(study, config=configure("quick", {"epochs": 9})), DROP),
        )
        for number, (its, cell) in enumerate(others, 2):
            assert service.begin(its, cell, learned) != (job_id,)
            assert len(runs(session)) == number


def test_a_run_that_ended_well_stands_for_its_cell_whoever_started_it(database: Database) -> None:
    with database.write() as session:
        _, study = world(session)
        service = StudyService(session)
        learned = service.build(study, DROP)
        service.begin(study, DROP, learned)
        [first] = runs(session)
        trained(session, first, "direct")
        # Without a second answer this handling teaches the very rows of drop.
        again = Cell(Handling.RECHECK_DROP, "direct", 0)
        same = service.build(study, again)
        assert (same.hash, same.id == learned.id) == (learned.hash, False)
        found = service.trained(study, again, same)
        assert found is not None
        assert (found.run.id, found.done) == (first.id, True)


def test_new_decisions_make_other_rows_and_so_other_students(database: Database) -> None:
    with database.write() as session:
        project, study = world(session)
        service = StudyService(session)
        learned = service.build(study, DROP)
        service.begin(study, DROP, learned)
        trained(session, runs(session)[0], "direct")
        item = session.query(Item).where(Item.split == Split.TRAIN).first()
        policy_version = runs(session)[0].policy_version_id
        assert item is not None
        add_judgement(session, session.get_one(PolicyVersion, policy_version), item, ())
        refresh(session, project)
        changed = service.build(study, DROP)
        assert changed.hash != learned.hash
        assert service.trained(study, DROP, changed) is None


def test_a_student_of_both_forms_is_scored_in_both_and_once(database: Database) -> None:
    with database.write() as session:
        _, study = world(session)
        service = StudyService(session)
        service.freeze(study)
        for cell in (DROP, BOTH):
            service.begin(study, cell, service.build(study, cell))
        plain, both = runs(session)
        trained(session, plain, "direct")
        trained(session, both, "direct", "reasoned")
        assert service.begin_scoring(study, plain) == []
        assert service.begin_scoring(replace(study, label_only=True), both) == []
        [job_id] = service.begin_scoring(study, both)
        job = session.get_one(Job, job_id)
        payload = ScorePayload.model_validate(job.payload)
        assert (payload.run_ids, payload.inference) == ((both.id,), "reasoned")
        assert list(payload.set_ids) == [one.id for one in service.sets(study)]
        assert service.begin_scoring(study, both) == [job_id], "it waits already"
        job.state = JobState.FAILED
        session.flush()
        assert service.begin_scoring(study, both) == [job_id]
        assert session.get_one(Job, job_id, populate_existing=True).state is JobState.QUEUED


def test_what_came_out_is_read_with_what_is_missing(database: Database) -> None:
    with database.write() as session:
        _, study = world(session)
        service = StudyService(session)
        cells = {cell: service.build(study, cell) for cell in (DROP, BOTH)}
        service.begin(study, DROP, cells[DROP])
        [run] = runs(session)
        trained(session, run, "direct")
        found = Reader(session, get_settings(), study).read(cells)
        assert found.missing == [BOTH]
        assert [(one.of.name, one.of.yes_no, one.inference) for one in found.scored] == [
            ("test", False, "direct"),
            ("hatecheck", True, "direct"),
        ]
        on_test, on_other = found.scored
        assert on_test.main.value == pytest.approx(on_test.metrics.macro.f1)
        assert on_other.main.value == pytest.approx(on_other.metrics.any_violation.f1)
        assert on_test.learned is not None and on_other.learned is None
        # A stand-in says one half of everything; each category has 4 of the 8 learned posts or fewer.
        assert 0 <= on_test.learned.value < 1
        assert {row.kind.value for _, row in found.others} == {"teacher", "base"}


def test_a_student_whose_folder_is_gone_is_said(database: Database) -> None:
    with database.write() as session:
        _, study = world(session)
        service = StudyService(session)
        learned = service.build(study, DROP)
        [job_id] = service.begin(study, DROP, learned)
        [run] = runs(session)
        trained(session, run, "direct")
        (Path(session.get_one(Job, job_id).folder or "") / "adapter" / "overrule.json").unlink()
        with pytest.raises(ConflictError, match="student of run 1 is not there"):
            service.begin_scoring(study, run)
