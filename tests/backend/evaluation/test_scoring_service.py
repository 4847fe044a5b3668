"""Scoring jobs, and models that have to be scored again, on both databases."""

import pytest

from backend.db.engine import Database
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobKind, JobState
from backend.errors import InvalidInputError, NotFoundError
from backend.evaluation.scoring_repository import Asked
from backend.evaluation.scoring_service import ScoringService
from tests.backend.build import add_project
from tests.backend.evaluation.build import add_run, decide
from tests.backend.evaluation.test_service import BAD, GOOD, answer, world


def test_a_scoring_job_is_made(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        run = add_run(session, here.project, here.policy)
        job = ScoringService(session).start(
            here.project.id, run_ids=[run.id], base=True, set_ids=[frozen.id], person="ada"
        )
        assert (job.kind, job.title) == (JobKind.SCORE, "Score base model, run 1 on test")
        assert job.payload == {
            "run_ids": [run.id],
            "base": True,
            "set_ids": [frozen.id],
            "inference": None,
        }


def test_a_scoring_job_needs_something_to_score(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        unfinished = add_run(session, here.project, here.policy)
        unfinished.prompt_hash = None
        other, _ = add_project(session, name="Other")
        session.flush()
        start = ScoringService(session).start
        with pytest.raises(InvalidInputError, match="no student"):
            start(here.project.id, run_ids=[unfinished.id], base=False, set_ids=[frozen.id], person="ada")
        with pytest.raises(InvalidInputError, match="nothing to score"):
            start(here.project.id, run_ids=[], base=False, set_ids=[frozen.id], person="ada")
        with pytest.raises(InvalidInputError, match="nothing to score"):
            start(here.project.id, run_ids=[], base=True, set_ids=[], person="ada")
        with pytest.raises(NotFoundError, match="another project"):
            start(other.id, run_ids=[], base=True, set_ids=[frozen.id], person="ada")


def test_models_are_scored_again_when_a_label_was_corrected(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        scoring = ScoringService(session)
        first = here.frozen()
        run = add_run(session, here.project, here.policy)
        here.ingest(first, GOOD)
        here.ingest(first, BAD, ModelKind.RUN, run.id)
        here.ingest(first, BAD, ModelKind.RUN, run.id, inference="reasoned")
        answer(here, {"t1": ("hate",)})
        here.service.evaluate_teacher(first.id, "ada")
        assert scoring.behind(first.id).models == ()
        with pytest.raises(InvalidInputError, match="No model has to be scored again"):
            scoring.start_again(first.id, "ada")

        decide(session, here.policy, here.items["t3"], ("scam",))
        found = scoring.behind(first.id)
        assert (found.changed, found.set_id) == (True, first.id)
        assert found.models == (
            Asked(ModelKind.BASE, None, None),
            Asked(ModelKind.RUN, run.id, None),
            Asked(ModelKind.RUN, run.id, "reasoned"),
            Asked(ModelKind.TEACHER, None, None),
        )
        jobs = scoring.start_again(first.id, "ada")
        second = here.frozen()
        assert [one.id for one in here.service.shown_sets(here.project.id)] == [first.id], (
            "until they are done"
        )
        assert second.id != first.id
        assert [(job.payload["run_ids"], job.payload["base"], job.payload["inference"]) for job in jobs] == [
            ([run.id], True, None),
            ([run.id], False, "reasoned"),
        ]
        assert all(job.payload["set_ids"] == [second.id] for job in jobs)
        assert scoring.behind(first.id).models == (), "they are on their way"

        for job in jobs:
            job.state = JobState.FAILED
        here.ingest(second, GOOD)
        here.service.evaluate_teacher(second.id, "ada")
        assert [asked.kind for asked in scoring.behind(second.id).models] == [ModelKind.RUN] * 2
        decide(session, here.policy, here.items["t3"], ("hate",))
        assert len(scoring.behind(second.id).models) == 4, "a third version would be frozen"


def test_the_teachers_answers_are_judged_again_at_once(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        scoring = ScoringService(session)
        first = here.frozen()
        answer(here, {"t1": ("hate",), "t3": ()})
        assert here.service.evaluate_teacher(first.id, "ada") is not None
        decide(session, here.policy, here.items["t3"], ("scam",))
        assert scoring.start_again(first.id, "ada") == []
        second = here.frozen()
        assert [row.kind for row in here.results.table(here.project.id, second.id)] == [ModelKind.TEACHER]
        assert scoring.behind(second.id).models == ()


def test_a_run_whose_student_is_gone_is_not_behind(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        run = add_run(session, here.project, here.policy)
        first = here.frozen()
        here.ingest(first, BAD, ModelKind.RUN, run.id)
        run.prompt_hash = None
        decide(session, here.policy, here.items["t3"], ("scam",))
        session.flush()
        assert ScoringService(session).behind(first.id).models == ()
