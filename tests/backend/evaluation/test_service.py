"""Freezing, evaluating, and everything that is shown of it, on both databases."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import (
    Category,
    DatasetVersion,
    Evaluation,
    EvaluationRow,
    EvaluationSet,
    Item,
    PolicyVersion,
    Prediction,
    Project,
    TeacherAnswer,
)
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.evaluation import ModelKind, Outcome
from backend.errors import InvalidInputError, NotFoundError
from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.comparison import invalid_sentence
from backend.evaluation.judging import Kept, Knows
from backend.evaluation.naming import in_a_table, pick
from backend.evaluation.results import ANY, Learned, PostKind, Reasons
from backend.evaluation.results_service import ResultsService
from backend.evaluation.service import EvaluationService
from backend.evaluation.set_repository import SetRepository
from backend.items.repository import ItemRepository
from tests.backend.build import add_project, add_teacher_run
from tests.backend.evaluation.build import add_decided, add_run, add_yes_no_set, decide, frame
from training.thresholds import BEST_F1, Aim

CODES = ("hate", "scam")
TEST_POSTS = {"t1": ("hate",), "t2": ("scam",), "t3": (), "t4": (), "t5": ("hate", "scam")}
GOOD = {"t1": (0.9, 0.1), "t2": (0.1, 0.9), "t3": (0.1, 0.1), "t4": (0.2, 0.1), "t5": (0.8, 0.8)}
BAD = {"t1": (0.9, 0.1), "t2": (0.9, 0.1), "t3": (0.9, 0.1), "t4": (0.1, 0.1), "t5": (0.1, 0.1)}


@dataclass
class World:
    session: Session
    project: Project
    policy: PolicyVersion
    items: dict[str, Item]
    validation: dict[int, tuple[float, ...]]

    @property
    def service(self) -> EvaluationService:
        return EvaluationService(self.session)

    @property
    def results(self) -> ResultsService:
        return ResultsService(self.session)

    def frozen(self) -> EvaluationSet:
        return self.service.freeze_test_split(self.project.id, "ada")

    def predictions(self, evaluation_set: EvaluationSet, said: dict[str, tuple[float, ...]]) -> pd.DataFrame:
        rows = self.session.execute(
            select(EvaluationRow.id, EvaluationRow.text).where(EvaluationRow.set_id == evaluation_set.id)
        )
        return frame({row_id: said[text] for row_id, text in rows}, CODES)

    def ingest(
        self,
        evaluation_set: EvaluationSet,
        said: dict[str, tuple[float, ...]],
        kind: ModelKind = ModelKind.BASE,
        run_id: int | None = None,
        aim: Aim = BEST_F1,
        inference: str | None = None,
    ) -> Evaluation:
        return self.service.ingest(
            evaluation_set.id,
            model_kind=kind,
            model="default",
            run_id=run_id,
            policy_version_id=self.policy.id,
            prompt_hash="hash",
            inference=inference,
            validation=frame(self.validation, CODES),
            predictions=self.predictions(evaluation_set, said),
            aim=aim,
            person="ada",
        )


def world(session: Session) -> World:
    project, policy = add_project(session, codes=CODES)
    items = {text: add_decided(session, project, policy, text, labels) for text, labels in TEST_POSTS.items()}
    validation = {
        add_decided(session, project, policy, text, labels, Split.VALIDATION).id: scores
        for text, labels, scores in (
            ("v1", ("hate",), (0.6, 0.1)),
            ("v2", ("scam",), (0.3, 0.6)),
            ("v3", (), (0.3, 0.3)),
        )
    }
    return World(session, project, policy, items, validation)


def new_policy(session: Session, project: Project, codes: tuple[str, ...]) -> PolicyVersion:
    version = PolicyVersion(
        project_id=project.id,
        number=2,
        created_by="ada",
        categories=[
            Category(position=position, code=code, name=code, definition="worded anew")
            for position, code in enumerate(codes)
        ],
    )
    session.add(version)
    session.flush()
    return version


def test_thresholds_serve_the_aim_and_what_cannot_be_had_is_said(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        # The surest validation post for "hate" is none.
        here.validation |= dict(zip(here.validation, [(0.6, 0.1), (0.7, 0.6), (0.3, 0.3)], strict=True))
        frozen = here.frozen()
        best = here.ingest(frozen, GOOD)
        precise = here.ingest(frozen, GOOD, aim=Aim("precision", 0.9))
        assert precise.thresholds["scam"] == best.thresholds["scam"]
        metrics = here.results.report(precise.id).metrics
        assert (metrics.thresholds_for, here.results.report(best.id).metrics.thresholds_for) == (
            "precision=0.9",
            "f1",
        )
        assert metrics.notes[0] == (
            "On validation posts a precision of 0.9 could not be had for Hate; "
            "the threshold comes nearest to it."
        )
        [note] = here.results.compare(best.id, precise.id).notes
        assert "chosen for different things (f1, precision=0.9)" in note


def test_the_temperature_is_fitted_on_validation_posts(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        report = here.results.report(here.ingest(here.frozen(), GOOD).id)
    metrics, [hate, _] = report.metrics, report.metrics.categories
    # All validation posts are told apart, so that surer scores would be likelier.
    assert metrics.temperature is not None and metrics.temperature < 1
    assert hate.brier is not None and hate.scaled_brier is not None
    assert hate.scaled_brier < hate.brier
    assert [one.code for one in report.scaled_reliability] == [one.code for one in report.reliability]
    assert report.scaled_reliability != report.reliability


def test_a_model_without_categories_is_judged_on_any_violation(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        rows = session.execute(select(EvaluationRow.id, EvaluationRow.text)).all()
        evaluation = here.service.ingest(
            frozen.id,
            model_kind=ModelKind.BASELINE,
            model=BaselineModel(Baseline.PROFANITY).model,
            policy_version_id=here.policy.id,
            prompt_hash=None,
            validation=pd.DataFrame({"id": list(here.validation), "any_violation": [0.6, 0.7, 0.1]}),
            predictions=pd.DataFrame(
                {"id": [row.id for row in rows], "any_violation": [max(GOOD[row.text]) for row in rows]}
            ),
            knows=Knows((), apart=True),
            person="ada",
        )
        beside = here.results.compare(here.ingest(frozen, GOOD).id, evaluation.id)
        assert "right means here that any violation is told rightly" in " ".join(beside.notes)
    with database.read() as session:
        service = ResultsService(session)
        report = service.report(evaluation.id)
        assert report.name == "alt-profanity-check"
        assert (report.metrics.any_violation.f1, report.metrics.any_violation.auprc) == (1, 1)
        assert (report.metrics.codes, report.metrics.macro.f1, report.metrics.exact_match) == ((), None, None)
        assert {one.note for one in report.metrics.categories} == {"The model's policy does not have it."}
        kinds = {row.kind for row in service.table(evaluation.project_id, frozen.id)}
        assert kinds == {ModelKind.BASE, ModelKind.BASELINE}
        assert service.regression_beside(evaluation.id) is None


def test_a_run_stands_beside_the_regression_taught_its_own_version(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        run = add_run(session, here.project, here.policy)
        number = session.get_one(DatasetVersion, run.dataset_version_id).number
        student = here.ingest(frozen, GOOD, ModelKind.RUN, run.id)
        assert here.results.regression_beside(student.id) is None
        taught = {version: here.ingest(frozen, BAD, ModelKind.BASELINE) for version in (number, number + 1)}
        for version, one in taught.items():
            one.model = BaselineModel(Baseline.REGRESSION, version).model
        session.flush()
        assert here.results.regression_beside(student.id) == taught[number].id
        assert here.results.regression_beside(taught[number].id) is None
        shown = {row.evaluation_id for row in here.results.table(here.project.id, frozen.id)}
        assert shown == {student.id, taught[number + 1].id}
        here.project.champion_run_id = run.id
        session.flush()
        shown = {row.evaluation_id for row in here.results.table(here.project.id, frozen.id)}
        assert shown == {student.id, *(one.id for one in taught.values())}


def test_the_test_split_is_frozen_with_what_stands(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        add_decided(session, here.project, here.policy, "cannot tell", None)
        add_decided(session, here.project, here.policy, "learned", ("hate",), Split.TRAIN)
        frozen = here.frozen()
        assert (frozen.name, frozen.number, frozen.rows) == ("test", 1, 5)
        rows = session.scalars(select(EvaluationRow).where(EvaluationRow.set_id == frozen.id)).all()
        assert {row.text: row.labels for row in rows} == TEST_POSTS
        assert {row.text: row.positive for row in rows} == {
            text: bool(labels) for text, labels in TEST_POSTS.items()
        }
        assert {row.item_id for row in rows} == {item.id for item in here.items.values()}


def test_a_new_version_is_made_only_where_something_changed(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        first = here.frozen()
        new_policy(session, here.project, CODES)
        assert here.frozen().id == first.id, "other words, same meaning"
        decide(session, here.policy, here.items["t3"], ("scam",))
        second = here.frozen()
        assert (second.number, second.rows) == (2, 5)
        add_decided(session, here.project, here.policy, "t6", ())
        assert here.frozen().number == 3
        assert [one.number for one in here.service.sets(here.project.id)] == [3]
    with database.read() as session:
        labels = session.scalars(
            select(EvaluationRow.labels).where(
                EvaluationRow.set_id == first.id, EvaluationRow.external_id == here.items["t3"].external_id
            )
        )
        assert labels.one() == (), "the first version keeps its labels"


def test_a_category_that_the_policy_lost_leaves_its_posts_out(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        here.frozen()
        new_policy(session, here.project, ("hate",))
        frozen = here.frozen()
        assert (frozen.number, frozen.rows) == (2, 3)


def test_nothing_decided_means_nothing_to_freeze(database: Database) -> None:
    with database.write() as session:
        project, _ = add_project(session)
        with pytest.raises(InvalidInputError, match="nothing to evaluate on"):
            EvaluationService(session).freeze_test_split(project.id, "ada")


def test_sets_are_found_by_name_and_id(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        imported = add_yes_no_set(session, here.project, here.policy, [("a", True)])
        frozen = here.frozen()
        assert [one.id for one in here.service.sets(here.project.id)] == [frozen.id, imported.id]
        assert here.service.get_set(here.project.id, "hatecheck").id == imported.id
        assert here.service.get_set(here.project.id, str(frozen.id)).id == frozen.id
        with pytest.raises(NotFoundError, match="Sets: test; hatecheck"):
            here.service.get_set(here.project.id, "xstest")


def test_posts_are_written_for_the_trainer(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        here = world(session)
        add_decided(session, here.project, here.policy, "unsure", None, Split.VALIDATION)
        frozen = here.frozen()
        assert here.service.write_set(frozen.id, tmp_path / "sets" / "test.parquet") == 5
        # An imported set has this post, too, so it chooses no thresholds.
        held_out = add_decided(session, here.project, here.policy, "v4", ("hate",), Split.VALIDATION)
        held_out.held_out = True
        session.flush()
        assert here.service.write_validation(here.project.id, tmp_path / "validation.parquet") == 3
        written = pd.read_parquet(tmp_path / "sets" / "test.parquet")
        assert list(written.columns) == ["id", "text"]
        assert written["text"].tolist() == list(TEST_POSTS)
        rows = session.scalars(select(EvaluationRow.id).order_by(EvaluationRow.id))
        assert written["id"].tolist() == [str(row_id) for row_id in rows]
        validation = pd.read_parquet(tmp_path / "validation.parquet")
        assert validation["id"].tolist() == [str(item_id) for item_id in here.validation]


def test_an_evaluation_is_judged_and_stored(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        evaluation = here.ingest(frozen, BAD)
        assert evaluation.thresholds["hate"] == 0.5
        assert set(evaluation.thresholds) == {*CODES, ANY}
    with database.read() as session:
        service = ResultsService(session)
        report = service.report(evaluation.id)
        assert (report.name, report.set_name, report.yes_no) == ("Base model", "test", False)
        hate, scam = report.metrics.categories
        assert (hate.support, hate.predicted, hate.hits, hate.threshold) == (2, 3, 1, 0.5)
        assert (scam.f1, scam.precision) == (0, None)
        assert report.metrics.exact_match == 0.4
        assert report.metrics.confusion == ((1, 0, 1), (1, 0, 1), (1, 0, 1))
        # On validation posts .6 and more were violations and .3 was none.
        alone = report.metrics.alone
        assert [one.wanted for one in alone] == [0.8, 0.9, 0.95, 0.99]
        assert {(one.high, one.share, one.right) for one in alone} == {(0.6, 1.0, 0.6)}
        assert [curve.code for curve in report.curves] == [*CODES, ANY]
        stored = session.scalars(select(Prediction).order_by(Prediction.row_id)).all()
        assert [one.outcome for one in stored] == [
            Outcome.RIGHT,
            Outcome.OTHER_LABELS,
            Outcome.FALSE_ALARM,
            Outcome.RIGHT,
            Outcome.MISSED,
        ]
        assert stored[0].scores == {"hate": 0.9, "scam": 0.1}


def test_the_table_has_each_models_newest_line_and_the_champion(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        run = add_run(session, here.project, here.policy)
        here.ingest(frozen, GOOD)
        base = here.ingest(frozen, BAD)
        student = here.ingest(frozen, GOOD, ModelKind.RUN, run.id)
        table = here.results.table(here.project.id, frozen.id)
        assert [(row.name, row.evaluation_id, row.champion) for row in table] == [
            ("Run 1", student.id, False),
            ("Base model", base.id, True),
        ]
        best = table[0]
        assert [row.learned for row in table] == [Learned(1, Handling.REVIEW, 0), None]
        assert (best.macro_f1, best.micro_f1, best.macro_auprc, best.any_f1, best.exact_match) == (1,) * 5
        assert best.macro_f1_interval is not None
        # Of the two harmless posts the base model flags one.
        assert [(row.violations, row.false_alarms) for row in table] == [(3, 0), (3, 0.5)]
        here.project.champion_run_id = run.id
        session.flush()
        assert [row.champion for row in here.results.table(here.project.id, frozen.id)] == [True, False]
        assert here.service.is_evaluated(frozen.id, ModelKind.RUN, run_id=run.id)
        assert not here.service.is_evaluated(frozen.id, ModelKind.TEACHER)
        assert not here.service.is_evaluated(frozen.id, ModelKind.BASE, model="another")


def test_a_student_asked_for_a_reason_first_has_a_line_of_its_own(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        run = add_run(session, here.project, here.policy)
        here.project.champion_run_id = run.id
        here.ingest(frozen, GOOD, ModelKind.RUN, run.id, inference="reasoned")
        is_evaluated = here.service.is_evaluated
        assert is_evaluated(frozen.id, ModelKind.RUN, run_id=run.id, inference="reasoned")
        assert not is_evaluated(frozen.id, ModelKind.RUN, run_id=run.id)
        assert (
            here.results.with_champion(
                here.project.id, add_run(session, here.project, here.policy, number=2).id
            )
            is None
        )
        itself = here.ingest(frozen, BAD, ModelKind.RUN, run.id)
        table = here.results.table(here.project.id, frozen.id)
        assert [(row.name, row.inference, row.champion) for row in table] == [
            ("Run 1, reason first", "reasoned", False),
            ("Run 1", None, True),
        ]
        assert [in_a_table(row) for row in table] == ["Run 1, reason first", "Run 1"]
        assert pick(table, "run 1").evaluation_id == itself.id
        for name in ("run 1, reasoned", "Run 1, reason first"):
            assert pick(table, name).name == "Run 1, reason first"
        assert pick(table, "champion").evaluation_id == itself.id


def test_of_a_student_that_knows_both_ways_the_table_says_how_it_was_asked(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        run = add_run(session, here.project, here.policy)
        run.config = {"answers": "both"}
        itself = here.ingest(frozen, GOOD, ModelKind.RUN, run.id)
        here.ingest(frozen, BAD, ModelKind.RUN, run.id, inference="reasoned")
        table = here.results.table(here.project.id, frozen.id)
        assert [in_a_table(row) for row in table] == ["Run 1, label only", "Run 1, reason first"]
        for name in ("run 1", "1", "run 1, label only"):
            assert pick(table, name).evaluation_id == itself.id


def test_the_probability_of_invalid_answers_is_kept(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        rows = SetRepository(session).rows(frozen.id)
        scores = frame(dict.fromkeys(rows.ids, (0.5, 0.1)), ["hate", "scam"])
        scores["valid_mass"] = [1.0, 0.5, 1.0, 0.75, 1.0][: len(scores)]
        evaluation = here.service.ingest(
            frozen.id,
            model_kind=ModelKind.BASE,
            model="default",
            policy_version_id=here.policy.id,
            prompt_hash=None,
            validation=frame({}, ["hate", "scam"]),
            predictions=scores,
            person="ada",
        )
        assert here.results.metrics(evaluation.id).invalid == pytest.approx(0.15)
        without = here.ingest(frozen, GOOD)
        assert here.results.metrics(without.id).invalid == 0


def test_a_version_frozen_since_hides_no_figures(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        shown, project_id = here.service.shown_sets, here.project.id
        first = here.frozen()
        assert [one.id for one in shown(project_id)] == [first.id], "nothing is evaluated yet"
        run = add_run(session, here.project, here.policy)
        here.ingest(first, GOOD)
        here.ingest(first, BAD, ModelKind.RUN, run.id)
        decide(session, here.policy, here.items["t3"], ("scam",))
        second = here.frozen()
        assert second.id != first.id
        assert [one.id for one in shown(project_id)] == [first.id]
        here.ingest(second, GOOD)
        assert [one.id for one in shown(project_id)] == [second.id]


def test_two_models_side_by_side(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        good, bad = here.ingest(frozen, GOOD), here.ingest(frozen, BAD)
        found = here.results.compare(good.id, bad.id)
        assert (found.posts, found.both_right, found.only_a_right, found.only_b_right) == (5, 2, 3, 0)
        assert found.macro_f1.a == 1
        assert found.macro_f1.difference is not None and found.macro_f1.difference > 0
        assert [category.code for category in found.categories] == list(CODES)
        assert "macro-F1 +" in found.sentence


def test_a_challenger_stands_beside_the_champion(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        first = add_run(session, here.project, here.policy)
        second = add_run(session, here.project, here.policy, number=2)
        beside = here.results.beside_champion
        one = here.ingest(frozen, BAD, ModelKind.RUN, first.id)
        assert beside(here.project.id, first.id) is None, "the base model is champion and not evaluated"
        base = here.ingest(frozen, BAD)
        found = beside(here.project.id, first.id)
        assert found is not None
        assert (found.a_id, found.b_id) == (one.id, base.id)
        here.project.champion_run_id = first.id
        session.flush()
        assert beside(here.project.id, first.id) is None
        assert beside(here.project.id, second.id) is None
        here.ingest(frozen, GOOD, ModelKind.RUN, second.id)
        found = beside(here.project.id, second.id)
        assert found is not None
        assert (found.a_name, found.b_name) == ("Run 2", "Run 1")


def texts(here: World, evaluation: Evaluation, kind: PostKind, other: Evaluation | None = None) -> list[str]:
    page = here.results.posts(evaluation.id, kind=kind, other_id=other.id if other else None)
    return [row.text for row in page.rows]


def test_posts_by_what_went_wrong(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        bad, good = here.ingest(frozen, BAD), here.ingest(frozen, {**GOOD, "t1": (0.1, 0.1)})
        assert texts(here, bad, PostKind.ALL) == list(TEST_POSTS)
        assert texts(here, bad, PostKind.WRONG) == ["t2", "t3", "t5"]
        assert texts(here, bad, PostKind.FALSE_ALARM) == ["t3"]
        assert texts(here, bad, PostKind.MISSED) == ["t5"]
        assert texts(here, bad, PostKind.OTHER_LABELS) == ["t2"]
        assert texts(here, bad, PostKind.RIGHT) == ["t1", "t4"]
        assert texts(here, bad, PostKind.ONLY_RIGHT_HERE, good) == ["t1"]
        assert texts(here, bad, PostKind.ONLY_RIGHT_THERE, good) == ["t2", "t3", "t5"]
        assert texts(here, bad, PostKind.BOTH_WRONG, good) == []
        assert texts(here, bad, PostKind.DIFFER, good) == ["t1", "t2", "t3", "t5"]
        counts = here.results.post_counts(bad.id)
        assert counts == {kind: len(texts(here, bad, kind)) for kind in counts}
        assert counts[PostKind.ALL] == len(TEST_POSTS) and len(counts) == 6
        [row] = here.results.posts(bad.id, kind=PostKind.FALSE_ALARM, other_id=good.id).rows
        assert (row.labels, row.predicted, row.other_predicted) == ((), ("hate",), ())
        assert (row.item_id, row.any_score) == (here.items["t3"].id, 0.9)
        assert (row.flagged, row.other_flagged) == (True, False)
        with pytest.raises(InvalidInputError, match="compare two models"):
            here.results.posts(bad.id, kind=PostKind.DIFFER)


@pytest.mark.parametrize("kind", [PostKind.WRONG, PostKind.DIFFER])
def test_posts_come_in_pages(database: Database, kind: PostKind) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        bad, good = here.ingest(frozen, BAD), here.ingest(frozen, GOOD)
        seen: list[str] = []
        after: int | None = 0
        while after is not None:
            page = here.results.posts(bad.id, kind=kind, other_id=good.id, after=after, limit=2)
            assert len(page.rows) <= 2
            seen += [row.text for row in page.rows]
            after = page.next_after
        assert seen == ["t2", "t3", "t5"]


def test_only_the_beginning_of_a_long_post_is_shown(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        long = "x" * 5_000
        add_decided(session, here.project, here.policy, long, ())
        frozen = here.frozen()
        evaluation = here.ingest(frozen, {**GOOD, long: (0.9, 0.1)})
        [row] = here.results.posts(evaluation.id).rows
        assert row.text == "x" * 2_000


def answer(here: World, labels: dict[str, tuple[str, ...] | None]) -> None:
    run = add_teacher_run(here.session, here.project, here.policy)
    here.session.add_all(
        TeacherAnswer(
            run_id=run.id,
            item_id=here.items[text].id,
            labels=these,
            analysis="Because it is so.",
            harmful=(text,) if these else (),
        )
        for text, these in labels.items()
    )
    ItemRepository(here.session).refresh([here.items[text].id for text in labels])


def test_the_teacher_is_judged_on_what_it_answered(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        assert here.service.evaluate_teacher(frozen.id, "ada") is None
        answer(here, {"t1": ("hate",), "t2": (), "t3": ("scam",), "t4": None})
        evaluation = here.service.evaluate_teacher(frozen.id, "ada")
        assert evaluation is not None
        assert evaluation.model == "teacher-1"
        [row] = here.results.table(here.project.id, frozen.id)
        assert (row.name, row.posts, row.of, row.macro_auprc) == ("Teacher teacher-1", 4, 5, None)
        metrics = here.results.report(evaluation.id).metrics
        assert metrics.reasons == Reasons(3, pytest.approx(2 / 3), pytest.approx(2 / 3), 0.75, 4.0, 1)
        assert metrics.unreadable == 1
        assert "Judged on 4 of 5 posts" in metrics.notes[0]
        assert metrics.notes[1] == "1 answer could not be read and counts as wrong."
        assert here.results.report(evaluation.id).curves == ()
        again = here.service.evaluate_teacher(frozen.id, "ada")
        assert again is not None and again.id == evaluation.id
        student = here.ingest(frozen, GOOD)
        found = here.results.compare(student.id, evaluation.id)
        assert (found.posts, found.only_a_right) == (4, 3)
        assert found.macro_auprc.difference is None
        answer(here, {"t2": ("scam",), "t4": ()})
        newer = here.service.evaluate_teacher(frozen.id, "ada")
        assert newer is not None and newer.id != evaluation.id
        assert here.results.report(newer.id).metrics.posts == 4


def test_an_answer_that_cannot_be_read_is_wrong_throughout(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        # t1 has a category and t3 none; of neither the answer can be read.
        answer(here, {"t1": None, "t2": ("scam",), "t3": None, "t4": ()})
        evaluation = here.service.evaluate_teacher(frozen.id, "ada")
        assert evaluation is not None
        metrics = here.results.metrics(evaluation.id)
        hate = metrics.categories[0]
        assert (hate.support, hate.hits, hate.recall) == (1, 0, 0)
        assert (metrics.exact_match, metrics.unreadable) == (0.5, 2)
        # Flagged: t2 rightly and t3 wrongly.
        assert (metrics.any_violation.predicted, metrics.any_violation.hits) == (2, 1)
        assert metrics.confusion == ((0, 0, 1), (0, 1, 0), (0, 0, 1))
        posts = here.results.posts(evaluation.id, kind=PostKind.ALL).rows
        told = {post.text: (post.outcome, post.unread) for post in posts}
        assert told == {
            "t1": (Outcome.MISSED, True),
            "t2": (Outcome.RIGHT, False),
            "t3": (Outcome.FALSE_ALARM, True),
            "t4": (Outcome.RIGHT, False),
        }
        # As stored and read again: beside a student that is right on all four, each category is wrong.
        student = here.ingest(frozen, GOOD)
        found = here.results.compare(student.id, evaluation.id)
        assert [one.only_a_right for one in found.categories] == [2, 2]
        assert found.only_a_right == 2
        again = here.service.evaluate_teacher(frozen.id, "ada")
        assert again is not None and again.id == evaluation.id
        answer(here, {"t3": ()})
        newer = here.service.evaluate_teacher(frozen.id, "ada")
        assert newer is not None and newer.id != evaluation.id
        assert here.results.metrics(newer.id).unreadable == 1


def test_answers_that_a_student_wrote_and_nobody_can_read_are_counted(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        ids = SetRepository(session).rows(frozen.id).ids
        labels: list[list[str] | None] = [["hate"], None, [], [], None]
        evaluation = here.service.ingest(
            frozen.id,
            model_kind=ModelKind.BASE,
            model="default",
            policy_version_id=here.policy.id,
            prompt_hash=None,
            validation=frame(here.validation, CODES),
            predictions=here.predictions(frozen, GOOD),
            reasons=pd.DataFrame(
                {"id": ids, "analysis": ["So it is."] * 5, "harmful": [[]] * 5, "labels": labels}
            ),
            person="ada",
        )
        metrics = here.results.metrics(evaluation.id)
        assert (metrics.unreadable, metrics.unread) == (2, ())
        assert metrics.reasons is not None
        assert (metrics.reasons.agreeing, metrics.reasons.unreadable) == (0.6, 2)
        assert invalid_sentence(metrics) == (
            "Invalid answers: 0.0% of the probability goes to answers that are no set of the policy's "
            "categories; 2 answers could not be read."
        )


def test_an_evaluation_stored_before_answers_were_kept_as_unread_still_opens(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        evaluation = here.ingest(frozen, GOOD)
        evaluation.metrics = {
            name: value for name, value in evaluation.metrics.items() if name not in ("unread", "invalid")
        }
        session.flush()
        report = here.results.report(evaluation.id)
        assert (report.metrics.unread, report.metrics.invalid) == ((), None)
        assert report.metrics.exact_match == 1


def test_a_yes_no_set_is_judged_on_any_violation(database: Database) -> None:
    said = {"a": (0.6, 0.1), "b": (0.1, 0.35), "c": (0.1, 0.1)}
    with database.write() as session:
        here = world(session)
        imported = add_yes_no_set(
            session, here.project, here.policy, [("a", True), ("b", False), ("c", True)]
        )
        evaluation = here.ingest(imported, said)
        report = here.results.report(evaluation.id)
        assert report.yes_no
        assert (report.metrics.categories, report.metrics.macro.f1) == ((), None)
        assert (report.metrics.any_violation.support, report.metrics.any_violation.hits) == (2, 1)
        assert [curve.code for curve in report.curves] == [ANY]
        [row] = here.results.table(here.project.id, imported.id)
        assert (row.macro_f1, row.any_f1) == (None, pytest.approx(2 / 3))
        [post] = here.results.posts(evaluation.id).rows
        assert (post.text, post.outcome, post.item_id) == ("c", Outcome.MISSED, None)
        found = here.results.compare(evaluation.id, evaluation.id)
        assert found.any_f1.difference == 0
        assert "any violation" in found.sentence


def test_what_lies_with_a_model_decides_on_its_own_categories_only(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        only_yes_no = add_yes_no_set(session, here.project, here.policy, [("t1", True), ("t3", False)])

        def thresholds(evaluation_set: EvaluationSet, kept: Kept) -> tuple[dict[str, float], float | None]:
            evaluation = here.service.ingest(
                evaluation_set.id,
                model_kind=ModelKind.BASE,
                model="default",
                policy_version_id=here.policy.id,
                prompt_hash=None,
                validation=frame(here.validation, CODES),
                predictions=here.predictions(evaluation_set, GOOD),
                kept=kept,
                person="ada",
            )
            return evaluation.thresholds, here.results.metrics(evaluation.id).temperature

        chosen = {"hate": 0.5, "scam": 0.5, ANY: 0.5}
        _, fitted = thresholds(frozen, Kept({}))
        kept = Kept({"hate": 0.95, "of an older policy": 0.1}, 3.0)
        assert thresholds(frozen, kept) == (chosen | {"hate": 0.95}, 3.0)
        assert thresholds(only_yes_no, kept) == (chosen, fitted)
        judged = here.results.table(here.project.id, frozen.id)[0]
        # Both posts of "hate" lie below its threshold.
        assert here.results.metrics(judged.evaluation_id).categories[0].predicted == 0


def test_any_violation_has_a_threshold_only_where_it_decides(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        by_category = here.results.metrics(here.ingest(here.frozen(), GOOD).id)
        assert [one.threshold for one in by_category.categories] == [0.5, 0.5]
        assert by_category.any_violation.threshold is None
        only_yes_no = add_yes_no_set(session, here.project, here.policy, [("t1", True), ("t3", False)])
        stored = here.ingest(only_yes_no, GOOD)
        any_violation = here.results.metrics(stored.id).any_violation
        assert any_violation.threshold == stored.thresholds[ANY] == 0.5


def test_broken_scores_are_stored_as_not_judged(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        one = here.ingest(frozen, {**GOOD, "t1": (float("nan"), 0.1)})
        metrics = here.results.report(one.id).metrics
        assert (metrics.codes, metrics.categories[0].f1) == (("scam",), None)
        assert metrics.categories[0].note == "1 of 5 scores are not numbers."
        none = here.ingest(frozen, dict.fromkeys(TEST_POSTS, (float("nan"), float("inf"))))
        metrics = here.results.report(none.id).metrics
        assert (metrics.posts, metrics.of, metrics.macro.f1) == (0, 5, None)
        assert here.results.posts(none.id, kind=PostKind.ALL).rows == ()
        assert "nothing to compare" in here.results.compare(one.id, none.id).sentence
        assert [row.macro_f1 for row in here.results.table(here.project.id, frozen.id)] == [None]


def test_models_of_different_policies_are_compared_over_what_both_know(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        both = here.ingest(frozen, GOOD)
        version = new_policy(session, here.project, ("hate", "spam"))
        newer = here.service.ingest(
            frozen.id,
            model_kind=ModelKind.BASE,
            model="default",
            policy_version_id=version.id,
            prompt_hash=None,
            validation=frame(here.validation, ("hate", "spam")),
            predictions=here.predictions(frozen, BAD).rename(columns={"p_scam": "p_spam"}),
            person="ada",
        )
        found = here.results.compare(both.id, newer.id)
        assert [category.code for category in found.categories] == ["hate"]
        assert found.notes == ("Not compared, because not both could be judged on it: Scam.",)


def test_what_does_not_fit_stores_nothing(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        with pytest.raises(InvalidInputError, match="do not fit the set"):
            here.service.ingest(
                frozen.id,
                model_kind=ModelKind.BASE,
                model="default",
                policy_version_id=here.policy.id,
                prompt_hash=None,
                validation=frame({}, CODES),
                predictions=frame({1_000_000: (0.5, 0.5)}, CODES),
                person="ada",
            )
        assert session.scalar(select(func.count()).select_from(Evaluation)) == 0


def test_evaluations_on_different_sets_are_not_compared(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        first = here.frozen()
        decide(session, here.policy, here.items["t3"], ("scam",))
        a, b = here.ingest(first, GOOD), here.ingest(here.frozen(), GOOD)
        with pytest.raises(InvalidInputError, match="different sets"):
            here.results.compare(a.id, b.id)


def test_unknown_things_are_named(database: Database) -> None:
    with database.read() as session:
        with pytest.raises(NotFoundError, match="no evaluation 99"):
            ResultsService(session).report(99)
        with pytest.raises(NotFoundError, match="no evaluation set 99"):
            EvaluationService(session).evaluate_teacher(99, "ada")
