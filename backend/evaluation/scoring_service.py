"""Having models scored on sets, and scored again where a set's labels are others by now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy.orm import Session

from backend.db.models import EvaluationSet, Job
from backend.db.models.evaluation import ModelKind, SetOrigin
from backend.db.models.jobs import JobKind, JobState
from backend.errors import InvalidInputError, NotFoundError
from backend.evaluation.lookup import Lookup
from backend.evaluation.naming import ASKED
from backend.evaluation.scoring_repository import Asked, ScoringRepository
from backend.evaluation.service import EvaluationService
from backend.jobs.payloads import Inference, ScorePayload
from backend.jobs.service import JobService
from backend.jobs.states import ENDED


@dataclass(frozen=True, slots=True)
class Behind:
    """The models whose figures on a set are of labels that stand no more.

    Attributes:
        set_id: the newest version of the set.
        models: those that were evaluated on earlier labels only; baselines come along with them.
        changed: labels or posts are others than in that version, so that a new one would be frozen.
    """

    set_id: int
    models: tuple[Asked, ...]
    changed: bool = False


class ScoringService:
    """What can be done about scoring."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._scoring = ScoringRepository(session)
        self._evaluation = EvaluationService(session)
        self._lookup = Lookup(session)

    def start(
        self,
        project_id: int,
        *,
        run_ids: Sequence[int],
        base: bool,
        set_ids: Sequence[int],
        inference: Inference | None = None,
        person: str,
    ) -> Job:
        """Make the job that scores models on sets.

        Args:
            inference: how they are asked; each as it is asked by itself where not given.

        Raises:
            InvalidInputError: there is nothing to score, or a run has no student yet.
            NotFoundError: a set is not the project's.
        """
        runs = self._scoring.run_numbers(project_id, run_ids)
        if without := [run_id for run_id in run_ids if run_id not in runs]:
            raise InvalidInputError(
                f"{len(without)} of the chosen runs have no student to score.",
                "Choose runs that have ended well.",
            )
        if not set_ids or not (run_ids or base):
            raise InvalidInputError("There is nothing to score.", "Choose a model and a set.")
        sets = [self._lookup.set(set_id) for set_id in set_ids]
        if any(one.project_id != project_id for one in sets):
            raise NotFoundError("A chosen set belongs to another project.", "Choose the project's own sets.")
        models = ["base model"] * base + [f"run {runs[run_id]}" for run_id in run_ids]
        asked = "" if inference is None else f", {ASKED[inference]},"
        title = f"Score {', '.join(models)}{asked} on {', '.join(one.name for one in sets)}"
        return JobService(self._session).create(
            project_id,
            JobKind.SCORE,
            title=title,
            payload=ScorePayload(
                run_ids=tuple(run_ids), base=base, set_ids=tuple(set_ids), inference=inference
            ),
            person=person,
        )

    def behind(self, set_id: int) -> Behind:
        """Which models would have to be scored again for figures on the labels that stand now.

        None while a job is about to score on these labels.

        Args:
            set_id: any version of the set.
        """
        newest = self._scoring.newest_version(self._lookup.set(set_id))
        changed = newest.origin is SetOrigin.TEST_SPLIT and not self._evaluation.frozen_test_split(
            newest.project_id
        )
        if not changed and self._is_being_scored(newest):
            return Behind(newest.id, ())
        models = [
            asked for asked, last in self._scoring.asked_on(newest).items() if changed or last < newest.id
        ]
        return Behind(newest.id, tuple(models), changed)

    def start_again(self, set_id: int, person: str) -> list[Job]:
        """Score the models that are `behind` on the labels that stand now, each asked as it was.

        The test split is frozen anew where that takes it. There is a job for each way of asking, which also
        judges the teacher's answers when it ends: until then the earlier figures stay in view. Where the
        teacher is the only one, they are judged at once.

        Raises:
            InvalidInputError: no model is behind.
        """
        found = self.behind(set_id)
        if not found.models:
            raise InvalidInputError(
                "No model has to be scored again on this set.", "All figures are of the labels that stand."
            )
        newest = self._lookup.set(found.set_id)
        if found.changed:
            newest = self._evaluation.freeze_test_split(newest.project_id, person)
        by_inference: dict[str | None, list[Asked]] = defaultdict(list)
        for asked in found.models:
            if asked.kind is not ModelKind.TEACHER:
                by_inference[asked.inference].append(asked)
        if not by_inference:
            self._evaluation.evaluate_teacher(newest.id, person)
        return [
            self.start(
                newest.project_id,
                run_ids=[asked.run_id for asked in models if asked.run_id is not None],
                base=any(asked.kind is ModelKind.BASE for asked in models),
                set_ids=[newest.id],
                inference=cast("Inference | None", inference),
                person=person,
            )
            for inference, models in by_inference.items()
        ]

    def _is_being_scored(self, version: EvaluationSet) -> bool:
        jobs = JobService(self._session)
        waiting = jobs.list(version.project_id, kind=JobKind.SCORE, states=set(JobState) - ENDED)
        return any(version.id in ScorePayload.model_validate(job.payload).set_ids for job in waiting)
