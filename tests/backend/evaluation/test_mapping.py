"""Sets with labels of their own: what a model says of them, and how it is judged, worked by hand."""

import numpy as np
import pytest
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import EvaluationRow, EvaluationSet, PolicyVersion, Project
from backend.db.models.evaluation import ModelKind, SetOrigin
from backend.evaluation.frames import choose_thresholds, read_scores
from backend.evaluation.mapping import LabelMap
from backend.evaluation.results import ANY
from backend.text import text_hash
from tests.backend.evaluation.build import frame
from tests.backend.evaluation.test_service import World, answer, new_policy, world

CODES = ("threats", "insults", "spam")
SCORES = {1: (0.2, 0.5, 0.1), 2: (0.7, 0.1, 0.9)}


def scores_of(label_map: dict[str, str], *, any_violation: tuple[float, float] | None = None) -> dict:
    table = frame(SCORES, CODES)
    if any_violation is not None:
        table["any_violation"] = any_violation
    found = LabelMap(label_map).scores(read_scores(table, CODES))
    any_scores = found.any_scores()
    assert any_scores is not None
    return {
        **{label: found.values[:, column].tolist() for column, label in enumerate(found.codes)},
        ANY: any_scores.tolist(),
    }


def test_one_code_is_its_own_probability() -> None:
    assert scores_of({"spam": "advert"}, any_violation=(0.6, 0.95)) == {"advert": [0.1, 0.9], ANY: [0.1, 0.9]}


def test_several_codes_are_the_highest_of_them() -> None:
    found = scores_of({"threats": "hateful", "insults": "hateful"}, any_violation=(0.6, 0.95))
    # What the set does not know, spam here, is no violation of it.
    assert found == {"hateful": [0.5, 0.7], ANY: [0.5, 0.7]}


def test_all_codes_are_any_violation() -> None:
    whole = dict.fromkeys(CODES, "hateful")
    assert scores_of(whole, any_violation=(0.6, 0.95)) == {"hateful": [0.6, 0.95], ANY: [0.6, 0.95]}
    assert scores_of(whole) == {"hateful": [0.5, 0.9], ANY: [0.5, 0.9]}
    assert scores_of(whole, any_violation=(float("nan"), 0.95)) == {"hateful": [0.5, 0.9], ANY: [0.5, 0.9]}
    two = {"threats": "hateful", "insults": "hateful", "spam": "advert"}
    assert scores_of(two, any_violation=(0.6, 0.95))[ANY] == [0.6, 0.95]


def test_a_score_that_is_no_number_is_kept_so() -> None:
    table = frame({1: (float("nan"), 0.5, 0.1), 2: (0.7, 0.1, 0.9)}, CODES)
    scores = read_scores(table, CODES)
    found = LabelMap({"threats": "hateful", "insults": "hateful", "spam": "advert"}).scores(scores)
    assert found.refused == {"hateful": "1 of 2 scores are not numbers."}


def test_a_model_that_knows_none_of_it_gives_no_label() -> None:
    found = LabelMap({"fraud": "advert"}).scores(read_scores(frame(SCORES, CODES), CODES))
    assert (found.codes, found.values.shape, found.any_scores()) == ((), (2, 0), None)


def test_thresholds_are_chosen_over_what_the_labels_stand_for() -> None:
    mapped = LabelMap({"threats": "hateful", "insults": "hateful"})
    scores = {1: (0.9, 0.1, 0.1), 2: (0.1, 0.4, 0.1), 3: (0.3, 0.2, 0.9), 4: (0.1, 0.2, 0.1)}
    decisions = [("threats",), ("insults", "spam"), ("spam",), ()]
    labels = [mapped.answer(these) for these in decisions]
    assert labels == [("hateful",), ("hateful",), (), ()]
    found = choose_thresholds(mapped.scores(read_scores(frame(scores, CODES), CODES)), labels)
    # The highest are .9, .4, .3 and .2; between .4 and .3 all four are right.
    assert found == {"hateful": pytest.approx(0.35), ANY: pytest.approx(0.35)}


def add_mapped_set(
    session: Session,
    project: Project,
    policy: PolicyVersion,
    label_map: dict[str, str],
    posts: dict[str, tuple[str, ...]],
) -> EvaluationSet:
    found = EvaluationSet(
        project_id=project.id,
        name="outside",
        origin=SetOrigin.IMPORTED,
        policy_version_id=policy.id,
        label_map=label_map,
        rows=len(posts),
        hash="",
        created_by="ada",
    )
    session.add(found)
    session.flush()
    for text, labels in posts.items():
        session.add(
            EvaluationRow(
                set_id=found.id,
                external_id=text,
                text=text,
                text_hash=text_hash(text),
                labels=labels,
                positive=not set(labels).isdisjoint(label_map.values()),
            )
        )
    session.flush()
    return found


POSTS = {
    "t1": ("hateful",),
    "t2": ("hateful",),
    "t3": (),
    "t4": ("rude",),
    "t5": ("hateful", "rude"),
}
SAID = {"t1": (0.9, 0.1), "t2": (0.1, 0.1), "t3": (0.1, 0.9), "t4": (0.1, 0.1), "t5": (0.8, 0.8)}


def here_with_set(session: Session, label_map: dict[str, str]) -> tuple[World, EvaluationSet]:
    here = world(session)
    return here, add_mapped_set(session, here.project, here.policy, label_map, POSTS)


def test_a_model_is_judged_on_the_labels_of_the_set(database: Database) -> None:
    with database.write() as session:
        here, outside = here_with_set(session, {"hate": "hateful"})
        evaluation = here.ingest(outside, SAID)
        report = here.results.report(evaluation.id)
        metrics = report.metrics
        hateful, rude = metrics.categories
        # t1 and t5 are found, t2 is missed. That t3 is called a scam is none of the set's business.
        assert (hateful.name, hateful.support, hateful.predicted, hateful.hits) == ("Hateful", 3, 2, 2)
        assert (hateful.precision, hateful.recall, hateful.f1) == (
            1,
            pytest.approx(2 / 3),
            pytest.approx(0.8),
        )
        assert hateful.threshold == evaluation.thresholds["hateful"] == 0.5
        assert (rude.name, rude.f1, rude.note) == ("Rude", None, "No category of the policy stands for it.")
        assert metrics.codes == ("hateful",)
        assert metrics.macro.f1 == pytest.approx(0.8)
        assert "Not in the macro averages, because they could not be judged: Rude." in metrics.notes
        assert (metrics.any_violation.support, metrics.any_violation.f1) == (3, pytest.approx(0.8))
        assert [curve.code for curve in report.curves] == ["hateful", ANY]
        [missed] = here.results.posts(evaluation.id).rows
        assert (missed.text, missed.labels, missed.predicted, missed.scores) == (
            "t2",
            ("hateful",),
            (),
            {"hateful": 0.1},
        )


def test_two_models_are_compared_on_the_labels_of_the_set(database: Database) -> None:
    with database.write() as session:
        here, outside = here_with_set(session, {"hate": "hateful", "scam": "hateful"})
        worse = here.ingest(outside, SAID)
        better = here.ingest(outside, {**SAID, "t2": (0.1, 0.9), "t3": (0.1, 0.1)})
        found = here.results.compare(better.id, worse.id)
        # Found are t1, t3 and t5 of t1, t2 and t5; the other finds all three and nothing else.
        assert (found.macro_f1.a, found.macro_f1.b) == (1, pytest.approx(2 / 3))
        assert [one.code for one in found.categories] == ["hateful"]


def test_a_model_without_what_a_label_stands_for_is_not_judged_on_it(database: Database) -> None:
    with database.write() as session:
        here, outside = here_with_set(session, {"hate": "hateful", "scam": "rude"})
        version = new_policy(session, here.project, ("hate",))
        evaluation = here.service.ingest(
            outside.id,
            model_kind=ModelKind.BASE,
            model="default",
            policy_version_id=version.id,
            prompt_hash=None,
            validation=frame({key: scores[:1] for key, scores in here.validation.items()}, ("hate",)),
            predictions=here.predictions(outside, SAID).drop(columns="p_scam"),
            person="ada",
        )
        hateful, rude = here.results.metrics(evaluation.id).categories
        assert hateful.f1 == pytest.approx(0.8)
        assert (rude.f1, rude.note) == (None, "The model knows none of its categories: scam.")


def test_a_teacher_is_judged_on_the_labels_of_the_set(database: Database) -> None:
    with database.write() as session:
        here, outside = here_with_set(session, {"hate": "hateful", "scam": "hateful"})
        answer(here, {"t1": ("hate", "scam"), "t2": ("scam",), "t3": ("hate",), "t4": ()})
        evaluation = here.service.evaluate_teacher(outside.id, "ada")
        assert evaluation is not None
        hateful, rude = here.results.metrics(evaluation.id).categories
        assert (hateful.support, hateful.predicted, hateful.hits) == (2, 3, 2)
        assert rude.note == "No category of the policy stands for it."


def test_scores_are_never_above_the_true_ones() -> None:
    """The highest of several is a bound from below of naming any of them."""
    random = np.random.default_rng(3)
    answers = random.dirichlet(np.ones(8), size=50)  # of the sets of three codes, in binary
    names = [[bool(answer & (1 << bit)) for bit in range(3)] for answer in range(8)]
    table = frame({post: row @ np.array(names) for post, row in enumerate(answers)}, CODES)
    mapped = LabelMap({"threats": "hateful", "insults": "hateful"})
    found = mapped.scores(read_scores(table, CODES)).values[:, 0]
    true = answers @ np.array([first or second for first, second, _ in names])
    assert (found <= true + 1e-12).all()
