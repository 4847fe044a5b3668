"""Posts of a set that nearly repeat what a run learned from are counted, told, and left out beside."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import (
    DatasetRow,
    DatasetVersion,
    EvaluationRow,
    EvaluationSet,
    PolicyVersion,
    Project,
    Run,
)
from backend.db.models.content import Split
from backend.db.models.evaluation import ModelKind
from backend.evaluation.results import Metrics
from backend.evaluation.results_service import ResultsService
from backend.evaluation.service import EvaluationService
from tests.backend.build import add_item, add_project
from tests.backend.evaluation.build import add_decided, add_run, add_yes_no_set, frame

PARCEL = "Your parcel waits: pay 2 euros of customs at the link below, or it goes back today"
TAX = "The tax office owes you 412 euros, confirm the number of your card within a day"
GARDEN = "We spent the whole afternoon in the garden, and nobody looked at a screen once"
SOUP = "My grandmother's soup needs two onions, a little patience and no salt at all"
# The run learned the first, flags it, and misses the second: F1 is 2/3 with it and 0 without.
POSTS = [(PARCEL, True, 0.9), (TAX, True, 0.1), (GARDEN, False, 0.1), (GARDEN.upper(), False, 0.1)]


def a_run(session: Session, taught: dict[str, Split]) -> tuple[Project, PolicyVersion, Run]:
    project, policy = add_project(session)
    run = add_run(session, project, policy, number=2)
    for text, split in taught.items():
        item = add_item(session, project, text, split=split)
        session.add(
            DatasetRow(version_id=run.dataset_version_id, item_id=item.id, split=split, labels=("scam",))
        )
    session.flush()
    return project, policy, run


def judged(session: Session, of: EvaluationSet, policy: PolicyVersion, run: Run | None) -> Metrics:
    """Metrics of the run, or of the base model, with the scores of `POSTS`."""
    rows = session.execute(
        select(EvaluationRow.id, EvaluationRow.text).where(EvaluationRow.set_id == of.id)
    ).all()
    said = {text: (0.0, score) for text, _, score in POSTS}
    validation = {
        add_decided(
            session,
            session.get_one(Project, of.project_id),
            policy,
            f"v{labels}{of.id}{run}",
            labels,
            Split.VALIDATION,
        ).id: score
        for labels, score in ((("scam",), (0.0, 0.8)), ((), (0.0, 0.2)))
    }
    service = EvaluationService(session)
    evaluation = service.ingest(
        of.id,
        model_kind=ModelKind.RUN if run else ModelKind.BASE,
        model="default",
        run_id=run.id if run else None,
        policy_version_id=policy.id,
        prompt_hash="hash",
        validation=frame(validation, ("hate", "scam")),
        predictions=frame({row_id: said[text] for row_id, text in rows}, ("hate", "scam")),
        person="ada",
    )
    return ResultsService(session).metrics(evaluation.id)


def test_what_a_run_nearly_learned_is_counted_and_what_is_without_it_told(database: Database) -> None:
    with database.write() as session:
        project, policy, run = a_run(
            session, {PARCEL.replace("2", "3"): Split.TRAIN, GARDEN[:70]: Split.VALIDATION, SOUP: Split.TRAIN}
        )
        of = add_yes_no_set(session, project, policy, [(text, positive) for text, positive, _ in POSTS])
        metrics = judged(session, of, policy, run)
        [first, *_] = session.scalars(
            select(EvaluationRow.id).where(EvaluationRow.set_id == of.id).order_by(EvaluationRow.id)
        )
        assert metrics.leaked == (first,)
        assert metrics.any_violation.f1 == pytest.approx(2 / 3)
        assert metrics.notes[0] == (
            "1 of the 4 posts nearly repeats a post that run 2 learned from; without it "
            "F1 on any violation is .00 instead of .67."
        )
        base = judged(session, of, policy, None)
        assert (base.leaked, [note for note in base.notes if "learned from" in note]) == ((), [])


def test_copies_within_a_set_are_all_counted(database: Database) -> None:
    with database.write() as session:
        project, policy, run = a_run(session, {GARDEN + "!": Split.TRAIN})
        of = add_yes_no_set(session, project, policy, [(text, positive) for text, positive, _ in POSTS])
        metrics = judged(session, of, policy, run)
    assert len(metrics.leaked) == 2
    assert metrics.notes[0].startswith("2 of the 4 posts nearly repeat posts that run 2 learned from")


def test_what_the_version_was_kept_apart_from_is_not_looked_at_again(database: Database) -> None:
    """Rows that stand in the version all the same show whether anything was compared."""
    with database.write() as session:
        project, policy, run = a_run(session, {PARCEL + "!": Split.TRAIN, TAX + "!": Split.TRAIN})
        old = add_decided(session, project, policy, PARCEL, ("scam",))
        of = add_yes_no_set(session, project, policy, [(text, positive) for text, positive, _ in POSTS])
        version = session.get_one(DatasetVersion, run.dataset_version_id)
        version.counts = {"apart_from": {"set_ids": [of.id], "newest_item": old.id}}
        assert judged(session, of, policy, run).leaked == ()
        new = add_decided(session, project, policy, TAX, ())
        frozen = EvaluationService(session).freeze_test_split(project.id, "ada")
        leaked = judged(session, frozen, policy, run).leaked
        [row] = session.scalars(select(EvaluationRow).where(EvaluationRow.id.in_(leaked)))
        assert row.item_id == new.id
