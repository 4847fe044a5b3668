"""How a run is carried out: what the trainer is given, and what is read of what it leaves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sqlalchemy.orm import Session

from backend import events
from backend.curation.service import CurationService
from backend.db.models import Evaluation, Run
from backend.db.models.content import Split
from backend.db.models.evaluation import ModelKind
from backend.evaluation.gain import write_gains
from backend.evaluation.results import Gain
from backend.evaluation.service import EvaluationService
from backend.policies.service import PolicyService
from backend.runs import folder as job_folder
from backend.runs.baselines import ingest_baselines
from backend.runs.repository import RunRepository
from backend.runs.scored_sets import write_sets
from backend.runs.service import RunService
from backend.settings import Settings
from training.job import BASE, BEFORE_PREFERENCE, PAIRS, VALIDATION_PAIRS, Config
from training.job import Job as TrainerJob
from training.thresholds import BEST_F1


class FineTune:
    """A run's folder, before the trainer works in it and after."""

    def __init__(self, session: Session, settings: Settings | None = None) -> None:
        self._session = session
        self._runs = RunRepository(session)
        self._service = RunService(session, settings)

    def prepare(self, run: Run, folder: Path) -> None:
        """Write the trainer's folder, unless it is complete; `job.json` comes last."""
        if job_folder.is_prepared(folder):
            return
        curation, payload = CurationService(self._session), self._service.payload(run)
        config = Config.model_validate(run.config)
        version_id = run.dataset_version_id
        for split, name in ((Split.TRAIN, "train"), (Split.VALIDATION, job_folder.VALIDATION)):
            job_folder.write_rows(folder / f"{name}.parquet", curation.training_frame(version_id, split))
        if config.preference is not None:
            for split, name in ((Split.TRAIN, PAIRS), (Split.VALIDATION, VALIDATION_PAIRS)):
                job_folder.write_pairs(folder / f"{name}.parquet", curation.pair_frame(version_id, split))
        sets = write_sets(self._session, run.project_id, payload.set_ids, folder)
        if payload.learned:
            job_folder.write_texts(
                folder / "sets" / f"{job_folder.LEARNED}.parquet",
                curation.training_sample(version_id, payload.learned),
            )
            sets = (*sets, job_folder.LEARNED)
        policies = PolicyService(self._session)
        TrainerJob(
            kind="train",
            base_model=run.base_model,
            policy=policies.training_policy(policies.get(run.policy_version_id)),
            config=config,
            sets=sets,
            reasons=config.answers == "reasoned",
            score_base=any(not self._base_is_scored(run, set_id) for set_id in payload.set_ids),
        ).write(folder)

    def collect(self, run: Run, folder: Path) -> None:
        """Read what the trainer left into the run and its evaluations."""
        result = job_folder.kept_result(folder)
        run.prompt_hash = result["hashes"]["prompt"]
        set_ids, gains = self._service.payload(run).set_ids, []
        for set_id in set_ids:
            evaluation = self._ingest(run, folder, set_id, base=False)
            name = job_folder.set_name(set_id)
            if job_folder.has_predictions(folder, name, by=BEFORE_PREFERENCE):
                gains.append(self._gained(evaluation, folder, name))
            scored = job_folder.has_predictions(folder, name, by=BASE)
            if scored and not self._base_is_scored(run, set_id):
                self._ingest(run, folder, set_id, base=True)
            EvaluationService(self._session).evaluate_teacher(set_id, run.created_by)
        version = self._runs.version(run.dataset_version_id)
        ingest_baselines(
            self._session,
            folder,
            set_ids,
            version=version.number if version else None,
            policy_version_id=run.policy_version_id,
            job_id=run.job_id,
            person=run.created_by,
        )
        if gains:
            result["preference"] = result.get("preference", {}) | {"gains": write_gains(gains)}
        run.result = result
        events.record(self._session, run.project_id, run.created_by, f"Run {run.number} finished")
        self._session.flush()

    def scores_on_learned(self, run: Run) -> pd.DataFrame | None:
        """What a run's student says of rows that it learned (`job_folder.read_predictions`).

        None where it was not asked to score any, or has not finished.
        """
        folder = self._service.folder(run)
        if not job_folder.has_predictions(folder, job_folder.LEARNED):
            return None
        return job_folder.read_predictions(folder, job_folder.LEARNED)

    def _gained(self, evaluation: Evaluation, folder: Path, name: str) -> Gain:
        return EvaluationService(self._session).gained(
            evaluation,
            validation=job_folder.read_for_thresholds(folder, by=BEFORE_PREFERENCE),
            predictions=job_folder.read_predictions(folder, name, by=BEFORE_PREFERENCE),
        )

    def _ingest(self, run: Run, folder: Path, set_id: int, *, base: bool) -> Evaluation:
        by = BASE if base else ""
        return EvaluationService(self._session).ingest(
            set_id,
            model_kind=ModelKind.BASE if base else ModelKind.RUN,
            model=run.base_model,
            run_id=None if base else run.id,
            policy_version_id=run.policy_version_id,
            prompt_hash=run.prompt_hash,
            validation=job_folder.read_for_thresholds(folder, by=by),
            predictions=job_folder.read_predictions(folder, job_folder.set_name(set_id), by=by),
            aim=BEST_F1 if base else Config.model_validate(run.config).aim,
            kept=None if base else self._service.kept(run),
            reasons=None if base else job_folder.read_reasons(folder, job_folder.set_name(set_id)),
            job_id=run.job_id,
            person=run.created_by,
        )

    def _base_is_scored(self, run: Run, set_id: int) -> bool:
        return self._runs.has_base_evaluation(set_id, run.base_model, run.policy_version_id)
