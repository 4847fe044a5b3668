"""Sets in disguise, and what disguises cost a model, on both databases."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import EvaluationRow, EvaluationSet, Event
from backend.db.models.evaluation import ModelKind, SetOrigin
from backend.errors import InvalidInputError
from backend.evaluation.bootstrap import bootstrap, interval
from backend.evaluation.drop import measure_drop
from backend.evaluation.judged import Bools, Judged
from backend.evaluation.robustness import Disguise
from backend.evaluation.scoring_service import ScoringService
from backend.evaluation.set_service import SetService
from backend.intake.service import IntakeService
from tests.backend.evaluation.build import add_run, add_yes_no_set, decide, frame, random_judged
from tests.backend.evaluation.test_service import CODES, GOOD, World, world
from tests.backend.intake.files import write_csv


def rows_of(session: Session, set_id: int) -> list[EvaluationRow]:
    rows = select(EvaluationRow).where(EvaluationRow.set_id == set_id).order_by(EvaluationRow.id)
    return list(session.scalars(rows))


def ingest(
    here: World,
    found: EvaluationSet,
    said: dict[str, tuple[float, ...]],
    kind: ModelKind = ModelKind.BASE,
    run_id: int | None = None,
) -> int:
    """What a model says, by the posts' ids: disguised or not, a post keeps its own."""
    table = frame({row.id: said[row.external_id] for row in rows_of(here.session, found.id)}, CODES)
    return here.service.ingest(
        found.id,
        model_kind=kind,
        model="default",
        run_id=run_id,
        policy_version_id=here.policy.id,
        prompt_hash=None,
        validation=frame(here.validation, CODES),
        predictions=table,
        person="ada",
    ).id


def by_id(here: World, said: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    return {here.items[text].external_id: scores for text, scores in said.items()}


def test_a_robustness_set_has_the_same_posts_in_disguise(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        plain = here.frozen()
        service = SetService(session)
        assert service.made_from(plain.id) is None
        made = service.robustness_set(plain.id, "ada")
        assert (made.name, made.number, made.origin) == ("test, disguised", 1, SetOrigin.ROBUSTNESS)
        assert (made.made_from_id, made.group_by, made.rows) == (plain.id, "disguise", 5)
        before = {row.external_id: row for row in rows_of(session, plain.id)}
        after = rows_of(session, made.id)
        assert {row.external_id for row in after} == set(before)
        for row in after:
            of = before[row.external_id]
            assert (row.labels, row.positive, row.item_id) == (of.labels, of.positive, None)
            assert row.text != of.text and row.text_hash != of.text_hash
            assert row.meta["disguise"] in list(Disguise)
        assert service.robustness_set(plain.id, "bob").id == made.id, "one from each version"
        for name in ("test, disguised", "Test posts, disguised", str(made.id)):
            assert here.service.get_set(here.project.id, name).id == made.id
        assert session.scalars(select(Event.text)).all()[-1] == (
            "Made the evaluation set test, disguised from version 1: 5 posts."
        )
        with pytest.raises(InvalidInputError, match="disguised already"):
            service.robustness_set(made.id, "ada")


def test_a_newer_version_makes_a_newer_one(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        service = SetService(session)
        first = service.robustness_set(here.frozen().id, "ada")
        decide(session, here.policy, here.items["t3"], ("scam",))
        second = service.robustness_set(here.frozen().id, "ada")
        assert (second.number, second.id != first.id) == (2, True)
        assert [(one.name, one.number) for one in here.service.sets(here.project.id)] == [
            ("test", 2),
            ("test, disguised", 2),
        ]


def test_what_is_known_of_a_set_goes_with_its_posts(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        plain = add_yes_no_set(session, here.project, here.policy, [("a post", True), ("another", False)])
        plain.language, plain.group_by = "de", "kind"
        for row in rows_of(session, plain.id):
            row.meta = {"kind": "slur"}
        session.flush()
        made = SetService(session).robustness_set(plain.id, "ada")
        assert (made.positive_labels, made.language) == (("hateful",), "de")
        assert [row.positive for row in rows_of(session, made.id)] == [True, False]
        assert {row.meta["kind"] for row in rows_of(session, made.id)} == {"slur"}


def test_what_disguises_cost_is_known_where_a_model_is_evaluated_on_both(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        plain = here.frozen()
        service = SetService(session)
        made = service.robustness_set(plain.id, "ada")
        run = add_run(session, here.project, here.policy)
        good, none = by_id(here, GOOD), dict.fromkeys(by_id(here, GOOD), (0.1, 0.1))
        disguised = ingest(here, made, none)
        ingest(here, plain, good, ModelKind.RUN, run.id)
        alone = service.drop(disguised)
        assert alone is not None and alone.overall is None, "the run is another model"
        assert (
            alone.sentence
            == "What disguises cost it can be said once it is evaluated on test (version 1), too."
        )
        as_written = ingest(here, plain, good)
        assert service.drop(as_written) is None
        found = service.drop(disguised)
        assert found is not None and found.overall is not None
        assert (found.set_name, found.set_number, found.overall.posts) == ("test", 1, 5)
        # As written all is found, disguised nothing.
        assert (found.overall.f1.a, found.overall.f1.b, found.overall.f1.difference) == (1, 0, 1)
        assert sum(cost.posts for cost in found.disguises) == 5
        assert found.sentence.startswith(
            "Disguised posts cost it 1.00 (1.00 to 1.00) of macro-F1, most of all"
        )
        student = service.drop(ingest(here, made, none, ModelKind.RUN, run.id))
        assert student is not None and student.overall is not None
        by = service.breakdown(disguised)
        assert by.group_by == "disguise" and sum(group.posts for group in by.groups) == 5


def test_posts_from_an_earlier_version_cannot_be_set_beside_it_any_more(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        made = SetService(session).robustness_set(here.frozen().id, "ada")
        decide(session, here.policy, here.items["t3"], ("scam",))
        here.frozen()
        found = SetService(session).drop(ingest(here, made, by_id(here, GOOD)))
        assert found is not None
        assert "Make the set again from the newest." in found.sentence


def test_models_of_an_earlier_imported_version_are_counted(database: Database, tmp_path: Path) -> None:
    """An imported set whose labels were put right is another version; the models wait to be scored on it."""
    with database.write() as session:
        here = world(session)
        run = add_run(session, here.project, here.policy)

        def imported(label: str) -> EvaluationSet:
            rows = [["id", "text", "label"], ["a", "one", label], ["b", "two", "hateful"]]
            path = write_csv(tmp_path / f"{label}.csv", rows)
            report = IntakeService(session).import_evaluation_set(
                here.project.id, path, name="checks", positive=["hateful"], person="ada"
            )
            return here.service.get_set(here.project.id, str(report.set_id))

        said = {"a": (0.9, 0.1), "b": (0.9, 0.1)}
        first = imported("hateful")
        old = ingest(here, first, said)
        ingest(here, first, said, ModelKind.RUN, run.id)
        second = imported("fine")
        scoring = ScoringService(session)
        assert (second.number, len(scoring.behind(second.id).models)) == (2, 2)
        assert scoring.behind(first.id) == scoring.behind(second.id)
        ingest(here, second, said)
        assert len(scoring.behind(second.id).models) == 1
        # The labels of the first are what they were.
        assert here.results.metrics(old).any_violation.support == 2
        assert [one.id for one in here.service.shown_sets(here.project.id)] == [second.id]


def test_near_duplicates_are_those_of_the_posts_as_written(database: Database) -> None:
    said = "An advert for something that nobody needs, at a price that nobody pays"
    with database.write() as session:
        here = world(session)
        posts = [(f"{said}{'!' * number}", True) for number in range(3)] + [("Quite another post", False)]
        plain = add_yes_no_set(session, here.project, here.policy, posts)
        made = SetService(session).robustness_set(plain.id, "ada")
        scores = {row.external_id: (0.9, 0.1) for row in rows_of(session, plain.id)}
        [group] = here.results.metrics(ingest(here, made, scores)).duplicates
        assert group == tuple(row.id for row in rows_of(session, made.id) if row.positive)


def test_the_cost_is_a_paired_bootstrap_over_the_same_posts() -> None:
    names = {"c0": "C 0", "c1": "C 1"}
    plain = random_judged(posts=200, codes=2, seed=1, noise=0.5)
    worse = random_judged(posts=200, codes=2, seed=1, noise=2.0)
    # The same posts come in another order, as another set would have them.
    order = np.random.default_rng(0).permutation(200)
    kinds = ["spaces" if key % 2 else "emoji" for key in worse.row_ids[order]]
    found = measure_drop(
        plain, worse.take(order), names=names, disguises=kinds, set_name="test", set_number=1
    )
    assert found.overall is not None
    before, after = bootstrap([plain, worse])
    expected = interval(before.macro_f1 - after.macro_f1)
    assert expected is not None
    assert (found.overall.f1.low, found.overall.f1.high) == (expected.low, expected.high)
    assert found.overall.f1.low > 0
    assert found.overall.auprc.difference is not None and found.overall.auprc.difference > 0
    assert {(cost.name, cost.posts) for cost in found.disguises} == {("spaces", 100), ("emoji", 100)}
    costs = [cost.f1.difference or 0 for cost in found.disguises]
    assert costs == sorted(costs, reverse=True)
    assert found.sentence.startswith("Disguised posts cost it .")
    same = measure_drop(plain, plain, names=names, disguises=kinds, set_name="test", set_number=1)
    assert same.sentence == "Disguised posts cost it nothing that is clear: .00 (.00 to .00) of macro-F1."
    turned = measure_drop(worse, plain, names=names, disguises=kinds, set_name="test", set_number=1)
    assert turned.sentence.startswith("It is better on disguised posts, by .")
    assert "−" not in turned.sentence


def test_one_disguise_may_cost_what_the_others_hide() -> None:
    names = {"c0": "C 0"}
    good = random_judged(posts=400, codes=1, seed=5, noise=0.8)
    bad = random_judged(posts=400, codes=1, seed=5, noise=3.0)
    kinds = np.array(["emoji" if key % 5 == 0 else "casing" for key in good.row_ids])
    # Emoji confuse the model; of what is in odd case it says what it says as written, or better.
    disguised = _mixed(good, bad, kinds == "emoji")
    plain = _mixed(good, bad, (kinds == "casing") & (good.row_ids % 4 == 0))
    found = measure_drop(plain, disguised, names=names, disguises=list(kinds), set_name="s", set_number=1)
    assert found.overall is not None
    emoji, casing = found.disguises
    assert (emoji.name, emoji.clear, casing.clear) == ("emoji", True, False)
    assert "; but emoji cost it ." in found.sentence
    # Two disguises are looked at: the smaller p-value counts double.
    alone = measure_drop(
        plain.take(kinds == "emoji"),
        disguised.take(kinds == "emoji"),
        names=names,
        disguises=["emoji"] * int((kinds == "emoji").sum()),
        set_name="s",
        set_number=1,
    )
    assert emoji.f1_p == pytest.approx(2 * (alone.disguises[0].f1_p or 0))


def _mixed(here: Judged, there: Judged, where: Bools) -> Judged:
    """What one says, and where told what the other says."""
    named = np.where(where[:, None], there.named, here.named)
    assert here.scores is not None and there.scores is not None
    scores = np.where(where[:, None], there.scores, here.scores)
    flagged = named.any(axis=1)
    return replace(here, named=named, scores=scores, flagged=flagged, any_scores=scores.max(axis=1))
