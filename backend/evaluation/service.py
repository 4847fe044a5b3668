"""Evaluation sets, and what models said of them judged and stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy.orm import Session

from backend.db.models import Evaluation, EvaluationSet
from backend.db.models.content import Split
from backend.db.models.evaluation import ModelKind
from backend.errors import NotFoundError
from backend.evaluation import naming
from backend.evaluation.alone import measure_bands
from backend.evaluation.gain import gain
from backend.evaluation.judged import Judged
from backend.evaluation.judging import STUDENT, Kept, Knows, Scored, judge_scores, missed_aims
from backend.evaluation.leak_repository import LearnedRepository
from backend.evaluation.leakage import learned_nearly, with_leaked
from backend.evaluation.lookup import Lookup
from backend.evaluation.metrics import measure
from backend.evaluation.reasons import of_student, of_teacher
from backend.evaluation.repository import EvaluationRepository
from backend.evaluation.results import (
    ANY,
    Gain,
    Metrics,
    Reasons,
)
from backend.evaluation.said import Said, from_labels
from backend.evaluation.set_repository import SetRepository, Size
from backend.evaluation.sets import called, freeze_test_split, frozen_test_split, write_labelled, write_texts
from backend.evaluation.stored import (
    label_map,
    prediction_rows,
    read_metrics,
    write_metrics,
    yes_no,
)
from backend.near_duplicates import clusters
from training.thresholds import BEST_F1, Aim


class EvaluationService:
    """Evaluation sets, and evaluations made of what models said of them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sets = SetRepository(session)
        self._evaluations = EvaluationRepository(session)
        self._lookup = Lookup(session)

    # Sets

    def sets(self, project_id: int) -> list[EvaluationSet]:
        """The newest version of each set, the test split first, then by name."""
        return self._sets.sets(project_id)

    def shown_sets(self, project_id: int) -> list[EvaluationSet]:
        """The versions of sets that figures are shown on, the test split first, then by name.

        The newest on which a model was evaluated: a version that was frozen since, for a run that
        is still at work or failed, must not hide what is known. The newest at all where none was.
        """
        return self._sets.shown_sets(project_id)

    def get_set(self, project_id: int, name_or_id: str) -> EvaluationSet:
        """The newest version of a set by its name, as people call it or, where none has that name, by its id.

        Raises:
            NotFoundError: there is none; the hint names those that there are.
        """
        sets = self.sets(project_id)
        for wanted in (
            [one for one in sets if one.name == name_or_id],
            [one for one in sets if called(one) == name_or_id],
            [one for one in sets if str(one.id) == name_or_id],
        ):
            if wanted:
                return wanted[0]
        known = (
            "; ".join(one.name for one in sets) or "none yet; the test split is made when it is first used"
        )
        raise NotFoundError(f"There is no evaluation set {name_or_id!r}.", f"Sets: {known}.")

    def freeze_test_split(self, project_id: int, person: str) -> EvaluationSet:
        """The test split as a frozen set.

        A new version is made only where its posts, their labels or the policy's codes changed
        since the newest. Items without a decision, and those that people could not tell or
        discarded, are left out. So are items with a label that the policy no longer has: these
        wait to be judged again.

        Raises:
            InvalidInputError: no test item has a decision.
        """
        return freeze_test_split(self._sets, project_id, person)

    def frozen_test_split(self, project_id: int) -> EvaluationSet | None:
        """The set that `freeze_test_split` would give without making one; None where it would make one."""
        return frozen_test_split(self._sets, project_id)

    def size_of_set(self, set_id: int) -> Size:
        """Posts and characters of a set."""
        return self._sets.size_of_set(self._lookup.set(set_id).id)

    def size_of_split(self, project_id: int, split: Split) -> Size:
        """Posts and characters of a split's items that have a decision: validation, or what is frozen."""
        return self._sets.size_of_split(project_id, split)

    def write_set(self, set_id: int, path: Path) -> int:
        """Write a set for the trainer (parquet: id, text) and return its number of posts."""
        return write_texts(self._sets.set_texts(self._lookup.set(set_id).id), path)

    def write_validation(self, project_id: int, path: Path) -> int:
        """Write the validation posts with their decisions (parquet: id, text, labels); return their number.

        Every model's thresholds are chosen on these, whatever it was taught.
        """
        return write_labelled(self._sets.validation_posts(project_id), path)

    # Evaluations

    def is_evaluated(
        self,
        set_id: int,
        kind: ModelKind,
        *,
        model: str | None = None,
        run_id: int | None = None,
        inference: str | None = None,
    ) -> bool:
        """Whether a model, asked in this way, has an evaluation on this version of a set."""
        found = self._evaluations.newest(set_id, kind, model=model, run_id=run_id, inference=inference)
        return found is not None

    def ingest(
        self,
        set_id: int,
        *,
        model_kind: ModelKind,
        model: str,
        run_id: int | None = None,
        policy_version_id: int,
        prompt_hash: str | None,
        inference: str | None = None,
        validation: pd.DataFrame,
        predictions: pd.DataFrame,
        knows: Knows = STUDENT,
        aim: Aim = BEST_F1,
        kept: Kept | None = None,
        reasons: pd.DataFrame | None = None,
        job_id: int | None = None,
        person: str,
    ) -> Evaluation:
        """Judge what a model said of a set, and store it.

        Args:
            model: the base model's name, or a baseline's (`baselines.names.BaselineModel`).
            policy_version_id: the one that the model was scored under.
            inference: how it was asked; None as it is asked by itself.
            validation: the trainer's frame (id, p_<code>…, any_violation where given), ids being items';
                thresholds are chosen on what stands for these items.
            predictions: the same for the set, ids being its rows'.
            knows: what the model can say.
            aim: what its thresholds are chosen for.
            kept: thresholds and temperature that lie with the model (`judging.judge_scores`).
            reasons: what it wrote of the set's posts, where that was kept (`job_folder.read_reasons`).

        Raises:
            InvalidInputError: the frames do not fit the policy or the set.
        """
        evaluation_set = self._lookup.set(set_id)
        scored = judge_scores(
            *(self._sets, evaluation_set, policy_version_id, validation, predictions),
            knows=knows,
            aim=aim,
            kept=kept,
        )
        evaluation = Evaluation(
            project_id=evaluation_set.project_id,
            set_id=set_id,
            model_kind=model_kind,
            model=model,
            run_id=run_id,
            policy_version_id=policy_version_id,
            prompt_hash=prompt_hash,
            inference=inference,
            thresholds=scored.thresholds,
            job_id=job_id,
            created_by=person,
        )
        names = self._sets.names_of(evaluation_set)
        written = None if reasons is None else of_student(self._texts(set_id), reasons, scored.said)
        return self._store(
            *(evaluation, scored.said, names),
            of=evaluation_set.rows,
            unreadable=0 if reasons is None else int(reasons["labels"].isna().sum()),
            scored=scored,
            reasons=written,
        )

    def gained(self, evaluation: Evaluation, *, validation: pd.DataFrame, predictions: pd.DataFrame) -> Gain:
        """What a model that was evaluated gained over what it was before a step of its training.

        Args:
            evaluation: of the model as it is.
            validation, predictions: of the model as it was, like those of `ingest`; they are not stored.

        Raises:
            InvalidInputError: the frames do not fit the policy or the set.
        """
        evaluation_set = self._lookup.set(evaluation.set_id)
        before = judge_scores(
            self._sets, evaluation_set, evaluation.policy_version_id, validation, predictions
        )
        names = self._sets.names_of(evaluation_set)
        return gain(evaluation_set, self._lookup.judged(evaluation), before.said.judged, names)

    def evaluate_teacher(self, set_id: int, person: str) -> Evaluation | None:
        """Judge the teacher's stored first answers on the posts of a set that it answered.

        The teacher has labels only, hence no AUPRC and no thresholds. Posts that it was not asked
        are left out and counted; an answer that cannot be read is wrong. Nothing is stored again while
        its answers are the same. None where no answer can be read.
        """
        evaluation_set = self._lookup.set(set_id)
        rows = self._sets.rows(set_id)
        answers = self._sets.teacher_answers(evaluation_set.project_id, set_id)
        given = {one.row_id: one.labels for one in answers}
        if all(labels is None for labels in given.values()):
            return None
        newest_run = max(answers, key=lambda one: one.run_id)
        model_codes = list(self._sets.names(newest_run.policy_version_id))
        names = self._sets.names_of(evaluation_set)
        mapped = label_map(evaluation_set)
        if mapped is None:
            said = from_labels(rows, list(names), yes_no(evaluation_set), model_codes, given)
        else:
            answered = {
                row_id: None if labels is None else mapped.answer(labels) for row_id, labels in given.items()
            }
            said = from_labels(rows, list(names), False, mapped.labels(model_codes), answered, mapped.refused)
        known = self._evaluations.newest(set_id, ModelKind.TEACHER)
        if known is not None and self._same_answers(known, said):
            return known
        models = Counter(one.model for one in answers)
        evaluation = Evaluation(
            project_id=evaluation_set.project_id,
            set_id=set_id,
            model_kind=ModelKind.TEACHER,
            model=", ".join(model for model, _ in models.most_common()),
            policy_version_id=newest_run.policy_version_id,
            thresholds={},
            created_by=person,
        )
        texts = self._texts(set_id)
        reasons = of_teacher((texts[one.row_id], one.analysis, one.harmful, one.labels) for one in answers)
        return self._store(
            *(evaluation, said, names),
            of=len(rows.ids),
            unreadable=len(said.judged.unread_posts),
            reasons=reasons,
        )

    # Within

    def _store(
        self,
        evaluation: Evaluation,
        said: Said,
        names: Mapping[str, str],
        *,
        of: int,
        unreadable: int = 0,
        scored: Scored | None = None,
        reasons: Reasons | None = None,
    ) -> Evaluation:
        judged = self._clustered(evaluation.set_id, said.judged)
        applied = {code: at for code, at in evaluation.thresholds.items() if code != ANY or said.by_any}
        metrics = measure(
            judged,
            names=names,
            thresholds=applied,
            of=of,
            unreadable=unreadable,
            refused=said.refused,
            notes=(*said.notes, *(missed_aims(scored, names) if scored else ())),
            alone=measure_bands(
                *(judged.positive, judged.any_scores, scored.bands if scored else {}, judged.clusters)
            ),
            aim=scored.aim if scored else BEST_F1,
            temperature=scored.temperature if scored else None,
            invalid=scored.invalid if scored else None,
            reasons=reasons,
        )
        evaluation.metrics = write_metrics(self._with_leaked(evaluation, judged, metrics, names))
        self._evaluations.add(evaluation, list(prediction_rows(said)))
        return evaluation

    def _with_leaked(
        self, evaluation: Evaluation, judged: Judged, metrics: Metrics, names: Mapping[str, str]
    ) -> Metrics:
        learned = LearnedRepository(self._session)
        version = learned.version_of(evaluation.run_id) if evaluation.run_id is not None else None
        if version is None:
            return metrics
        leaked = learned_nearly(learned, self._lookup.set(evaluation.set_id), version)
        learner = naming.in_a_sentence(self._lookup.name(evaluation), evaluation.model_kind)
        return with_leaked(metrics, judged, leaked, learner=learner, names=names)

    def _clustered(self, set_id: int, judged: Judged) -> Judged:
        """With the near-duplicates among its posts put together, as found in all of the set."""
        texts = dict(self._sets.texts_as_written(self._lookup.set(set_id)))
        places = dict(zip(texts, clusters(list(texts.values())).tolist(), strict=True))
        return replace(
            judged, clusters=np.array([places[key] for key in judged.row_ids.tolist()], dtype=np.int64)
        )

    def _texts(self, set_id: int) -> dict[int, str]:
        """The texts of a set's posts by their keys, in the order of these."""
        return {key: text for part in self._sets.set_texts(set_id) for key, text in part}

    def _same_answers(self, known: Evaluation, said: Said) -> bool:
        stored = {row.row_id: row.labels for row in self._evaluations.predictions(known.id)}
        same = stored == dict(zip(said.judged.row_ids.tolist(), said.labels, strict=True))
        return same and read_metrics(known).unread == said.judged.unread_posts
