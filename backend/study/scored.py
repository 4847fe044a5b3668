"""What the students of a study said of the sets, as figures that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.orm import Session

from backend.curation.service import CurationService
from backend.db.models import Evaluation, EvaluationSet, Run
from backend.db.models.evaluation import ModelKind, SetOrigin
from backend.evaluation.bootstrap import SEED, Samples, bootstrap, exactly
from backend.evaluation.frames import read_scores
from backend.evaluation.judged import Floats, Judged
from backend.evaluation.results import Metrics, ModelRow
from backend.evaluation.results_service import ResultsService
from backend.evaluation.said import SetRows, from_scores
from backend.near_duplicates import clusters
from backend.runs.fine_tune import FineTune
from backend.settings import Settings
from backend.study.grid import Cell
from backend.study.intervals import Figure
from backend.study.repository import StudyRepository
from backend.study.service import LEARNED, Learned, Study, StudyService
from training.prompt import Form


@dataclass(frozen=True, slots=True)
class OfSet:
    """A set that students were scored on."""

    id: int
    name: str
    number: int
    posts: int
    yes_no: bool
    in_distribution: bool
    language: str | None

    @property
    def measure(self) -> str:
        """What students are compared by: a set that knows yes and no only has no categories."""
        return "F1 on any violation" if self.yes_no else "macro-F1"

    @property
    def ranking(self) -> str:
        """What tells how well they rank posts, whatever the thresholds."""
        return "AUPRC of any violation" if self.yes_no else "macro-AUPRC"


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One student on one set, asked in one way.

    Attributes:
        inference: the form in which it answered.
        by_itself: whether it was asked as it is by itself, and not in a second form.
        main: the figure that the set is compared by.
        ranking: AUPRC, the mean over the categories or that of any violation.
        any_violation: F1 on any violation.
        auprc: of each category that could be judged.
        f1: likewise.
        learned: the main figure, by what it was taught, on rows that it learned; None where these
            were not scored, or it was not asked by itself.
    """

    cell: Cell
    rows: Learned
    run: Run
    of: OfSet
    inference: Form
    by_itself: bool
    metrics: Metrics
    main: Figure
    ranking: Figure
    any_violation: Figure
    auprc: Mapping[str, Figure]
    f1: Mapping[str, Figure]
    learned: Figure | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """All that came out.

    Attributes:
        missing: cells that have no student yet.
        others: what was scored on the same sets and is no student: the teacher, base models, baselines.
        categories: the policy's names by code.
    """

    cells: Sequence[Cell]
    missing: Sequence[Cell]
    sets: Sequence[OfSet]
    scored: Sequence[Scored]
    others: Sequence[tuple[OfSet, ModelRow]]
    categories: Mapping[str, str]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """An evaluation of a cell before its figures are there."""

    cell: Cell
    rows: Learned
    run: Run
    inference: Form
    by_itself: bool
    evaluation: Evaluation


class Reader:
    """Reads what came out of a study.

    Args:
        session: the transaction.
        settings: where folders lie.
        study: what all cells share.
    """

    def __init__(self, session: Session, settings: Settings, study: Study) -> None:
        self._session = session
        self._study = study
        self._service = StudyService(session, settings)
        self._results = ResultsService(session)
        self._curation = CurationService(session)
        self._repository = StudyRepository(session)
        self._fine_tunes = FineTune(session, settings)

    def read(self, cells: Mapping[Cell, Learned], notes: Sequence[str] = ()) -> Results:
        """Everything that is there of these cells; figures of one set are of the same resamples."""
        done: dict[Cell, Run] = {}
        for cell, rows in cells.items():
            trained = self._service.trained(self._study, cell, rows)
            if trained is not None and trained.done:
                done[cell] = trained.run
        sets = [_of_set(one) for one in self._service.sets(self._study)]
        scored = [
            one
            for of in sets
            for one in self._on(of, {cell: (cells[cell], run) for cell, run in done.items()})
        ]
        others = [
            (of, row)
            for of in sets
            for row in self._results.table(self._study.project_id, of.id)
            if row.kind is not ModelKind.RUN
        ]
        names = {
            one.code: one.name for each in scored if not each.of.yes_no for one in each.metrics.categories
        }
        missing = [cell for cell in cells if cell not in done]
        return Results(list(cells), missing, sets, scored, others, names, notes)

    def _on(self, of: OfSet, done: Mapping[Cell, tuple[Learned, Run]]) -> list[Scored]:
        found = []
        for cell, (rows, run) in done.items():
            for inference in self._service.inferences(run):
                evaluation = self._repository.evaluation(of.id, run.id, inference)
                if evaluation is not None:
                    form = self._service.form(run) if inference is None else inference
                    found.append(_Found(cell, rows, run, form, inference is None, evaluation))
        if not found:
            return []
        # Handlings that give the very same rows share a run, which need not be drawn for twice.
        evaluations = {one.evaluation.id: one.evaluation for one in found}
        judged = self._results.judged_together(list(evaluations))
        samples = dict(zip(evaluations, bootstrap(judged, seed=SEED + of.id), strict=True))
        said = dict(zip(evaluations, judged, strict=True))
        learned = self._learned(found) if of.in_distribution else {}
        return [
            _scored(
                one,
                of,
                said[one.evaluation.id],
                samples[one.evaluation.id],
                self._results.metrics(one.evaluation.id),
                learned.get(one.run.id),
            )
            for one in found
        ]

    def _learned(self, found: Sequence[_Found]) -> dict[int, Figure]:
        """The main figure of each student on rows that it learned, by run."""
        by_version: dict[int, dict[int, Judged]] = {}
        for one in found:
            if one.by_itself and (judged := self._on_learned(one)) is not None:
                by_version.setdefault(one.run.dataset_version_id, {})[one.run.id] = judged
        figures = {}
        for models in by_version.values():
            # Not the draws of the test split: the posts have nothing to do with each other.
            drawn = bootstrap(list(models.values()), seed=SEED - 1)
            for (run_id, judged), samples in zip(models.items(), drawn, strict=True):
                figures[run_id] = Figure(float(exactly(judged).macro_f1[0]), samples.macro_f1)
        return figures

    def _on_learned(self, one: _Found) -> Judged | None:
        frame = self._fine_tunes.scores_on_learned(one.run)
        if frame is None or not len(frame):
            return None
        codes = list(self._results.metrics(one.evaluation.id).codes)
        rows = self._curation.training_sample(one.run.dataset_version_id, max(LEARNED, len(frame)))
        rows = rows[rows["id"].isin(frame["id"])]
        labels = tuple(tuple(these) for these in rows["labels"])
        posts = SetRows(
            tuple(int(key) for key in rows["id"]), labels, np.array([bool(these) for these in labels])
        )
        every = list(one.evaluation.thresholds)
        scores = read_scores(frame, [code for code in every if f"p_{code}" in frame.columns]).of(posts.ids)
        judged = from_scores(posts, codes, False, scores, one.evaluation.thresholds).judged
        return replace(judged, clusters=clusters(rows["text"].tolist()))


def _of_set(one: EvaluationSet) -> OfSet:
    return OfSet(
        one.id,
        one.name,
        one.number,
        one.rows,
        one.positive_labels is not None,
        one.origin is SetOrigin.TEST_SPLIT,
        one.language,
    )


def _scored(
    one: _Found, of: OfSet, judged: Judged, samples: Samples, metrics: Metrics, learned: Figure | None
) -> Scored:
    exact = exactly(judged)
    any_violation = Figure(float(exact.f1[0, -1]), samples.f1[:, -1])
    return Scored(
        cell=one.cell,
        rows=one.rows,
        run=one.run,
        of=of,
        inference=one.inference,
        by_itself=one.by_itself,
        metrics=metrics,
        main=any_violation if of.yes_no else Figure(float(exact.macro_f1[0]), samples.macro_f1),
        ranking=Figure(float(exact.auprc[0, -1]), samples.auprc[:, -1])
        if of.yes_no
        else Figure(float(exact.macro_auprc[0]), samples.macro_auprc),
        any_violation=any_violation,
        auprc=_by_category(judged, exact.auprc, samples.auprc),
        f1=_by_category(judged, exact.f1, samples.f1),
        learned=learned if one.by_itself else None,
    )


def _by_category(judged: Judged, exact: Floats, samples: Floats) -> dict[str, Figure]:
    return {
        code: Figure(float(exact[0, column]), samples[:, column])
        for column, code in enumerate(judged.codes)
        if np.isfinite(exact[0, column])
    }
