"""What can be asked about a fine-tune before it starts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from sqlalchemy.orm import Session

from backend.base_models import checked_name, local_folder
from backend.curation.service import CurationService
from backend.db.models import DatasetVersion
from backend.db.models.content import Split
from backend.errors import ConflictError, NotFoundError
from backend.evaluation.service import EvaluationService
from backend.jobs.service import JobService
from backend.jobs.states import ACTIVE, Lane
from backend.policies.service import PolicyService
from backend.runs.estimate import SAMPLE, estimate
from backend.runs.repository import RunRepository
from backend.runs.service import require_rows
from backend.runs.speeds import Trial, best_pace
from backend.runs.views import Estimate
from backend.runs.workload import Plan, Posts
from backend.settings import Settings, get_settings
from training import machine
from training.data import Row
from training.job import Config
from training.policy import Policy

_RUNS_LOOKED_AT = 20
"""Finished runs among which one of equal settings is looked for."""


class EstimateService:
    """Estimates as pages and commands see them."""

    def __init__(self, session: Session, settings: Settings | None = None) -> None:
        self._session = session
        self._runs = RunRepository(session)
        self._settings = settings or get_settings()

    def estimate(
        self, version_id: int, config: Config, base_model: str | None = None, set_ids: Sequence[int] = ()
    ) -> Estimate:
        """What a fine-tune of this version would take; reads a sample of its rows.

        Args:
            version_id: the dataset version.
            config: all settings.
            base_model: a folder, a hub id or "default"; the settings' where not given.
            set_ids: evaluation sets to score beside the test split, which always is.

        Raises:
            InvalidInputError: the base model cannot be taught, or there is no such folder.
        """
        version = self._version(version_id)
        name = checked_name(base_model or self._settings.base_model)
        folder = local_folder(name, self._settings)
        runs = self._runs.newest_results(name, _RUNS_LOOKED_AT)
        return estimate(
            self._plan(version, config, name, set_ids),
            self._policy(version),
            CurationService(self._session).answers(version.id, Split.TRAIN),
            folder,
            best_pace(folder, config, runs, self._settings) if folder else None,
        )

    def trial(self, version_id: int, config: Config, base_model: str | None = None) -> Trial:
        """What `speeds.measure` needs; it takes a while, so do it when the transaction is over.

        Raises:
            ConflictError: the base model is not here, trainers run elsewhere, or one is at work.
            InvalidInputError: nothing to learn, or no such folder of a base model.
        """
        version = self._version(version_id)
        require_rows(version)
        name = checked_name(base_model or self._settings.base_model)
        folder = local_folder(name, self._settings)
        if folder is None:
            raise ConflictError(
                "The base model is not on this computer yet.", f"Fetch it: overrule models pull {name}."
            )
        if self._settings.launcher == "ray":
            raise ConflictError("Trainers run on Ray, not here.", "The first run tells how fast they are.")
        jobs = JobService(self._session, self._settings).list(states=ACTIVE)
        if any(Lane.of(job.kind) is Lane.TRAINER for job in jobs):
            raise ConflictError(
                "A trainer is at work, which would spoil a measurement.",
                "The run that is under way will tell how fast it was when it ends.",
            )
        return Trial(name, folder, self._policy(version), config, self._sample(version_id))

    def _plan(self, version: DatasetVersion, config: Config, base_model: str, set_ids: Sequence[int]) -> Plan:
        rows = version.counts.get("rows", {})
        evaluation = EvaluationService(self._session)
        test = evaluation.frozen_test_split(version.project_id)
        sizes = [evaluation.size_of_set(set_id) for set_id in set_ids]
        sizes.append(evaluation.size_of_split(version.project_id, Split.TEST))
        choosing = evaluation.size_of_split(version.project_id, Split.VALIDATION)
        scored = [
            self._runs.has_base_evaluation(set_id, base_model, version.policy_version_id)
            for set_id in (*set_ids, *([test.id] if test else []))
        ]
        curation, gpu = CurationService(self._session), machine.first_gpu()
        pairs = curation.pair_counts(version.id).learned(config.answers) if config.preference else 0
        return Plan(
            config=config,
            rows=int(rows.get(Split.TRAIN.value, 0)),
            validation_rows=int(rows.get(Split.VALIDATION.value, 0)),
            sample=_rows(self._sample(version.id)),
            choosing=Posts(choosing.posts, choosing.characters),
            sets=[Posts(size.posts, size.characters) for size in sizes],
            # A test split that is not frozen yet will be new to the base model.
            score_base=not all(scored) or (test is None and sizes[-1].posts > 0),
            pairs=pairs,
            free=machine.free_memory() if gpu is None else gpu.free,
            device="cpu" if gpu is None else "cuda",
            here=self._settings.launcher != "ray",
        )

    def _policy(self, version: DatasetVersion) -> Policy:
        policies = PolicyService(self._session)
        return policies.training_policy(policies.get(version.policy_version_id))

    def _sample(self, version_id: int) -> pd.DataFrame:
        for frame in CurationService(self._session).training_frame(version_id, Split.TRAIN):
            return frame if len(frame) <= SAMPLE else frame.sample(SAMPLE, random_state=0)
        return pd.DataFrame(columns=["id", "text", "labels", "analysis", "harmful"])

    def _version(self, version_id: int) -> DatasetVersion:
        version = self._runs.version(version_id)
        if version is None:
            raise NotFoundError(f"There is no dataset version with the id {version_id}.")
        return version


def _rows(frame: pd.DataFrame) -> list[Row]:
    """A frame of the trainer's columns as the trainer reads it."""
    return [
        Row(
            each["id"],
            each["text"],
            tuple(each["labels"]),
            each["analysis"] if isinstance(each["analysis"], str) else None,
            tuple(each["harmful"]),
        )
        for each in frame.to_dict("records")
    ]
