"""Scoring models that are there already: a trainer's folder for each model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from backend.base_models import checked_name
from backend.curation.service import CurationService
from backend.db.models import DatasetVersion, Job
from backend.db.models.content import Split
from backend.db.models.evaluation import ModelKind
from backend.errors import InvalidInputError
from backend.evaluation.judging import Kept
from backend.evaluation.service import EvaluationService
from backend.jobs.payloads import Inference, ScorePayload
from backend.policies.service import PolicyService
from backend.runs import folder as job_folder
from backend.runs.baselines import ingest_baselines
from backend.runs.repository import RunRepository
from backend.runs.scored_sets import write_sets
from backend.runs.service import RunService
from backend.settings import Settings
from training.job import Config
from training.job import Job as TrainerJob


@dataclass(frozen=True, slots=True)
class _Model:
    """One model to score, under the policy that it learned.

    The baselines beside it learn from `version`.
    """

    kind: ModelKind
    base_model: str
    policy_version_id: int
    config: Config
    version: DatasetVersion | None = None
    run_id: int | None = None
    adapter: Path | None = None
    prompt_hash: str | None = None
    kept: Kept | None = None

    @property
    def folder_name(self) -> str:
        return "base" if self.run_id is None else f"run-{self.run_id}"


class Scoring:
    """Writes the folders of a scoring job and takes their results in."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._settings = settings
        self._evaluation = EvaluationService(session)

    def prepare(self, job: Job) -> list[Path]:
        """Write what is not written yet; gives the folders in the order in which they are scored."""
        payload = ScorePayload.model_validate(job.payload)
        folders = []
        for model in self._models(job, payload):
            folder = Path(job.folder or "") / "models" / model.folder_name
            folders.append(folder)
            if not job_folder.is_prepared(folder):
                self._write(job, payload, model, folder)
        return folders

    def collect(self, job: Job) -> None:
        """Store each model's evaluation on each set."""
        payload = ScorePayload.model_validate(job.payload)
        for model in self._models(job, payload):
            folder = Path(job.folder or "") / "models" / model.folder_name
            hashes = job_folder.kept_result(folder)["hashes"]
            validation = job_folder.read_for_thresholds(folder)
            for set_id in payload.set_ids:
                self._evaluation.ingest(
                    set_id,
                    model_kind=model.kind,
                    model=model.base_model,
                    run_id=model.run_id,
                    policy_version_id=model.policy_version_id,
                    prompt_hash=hashes["prompt"],
                    inference=payload.inference,
                    validation=validation,
                    predictions=job_folder.read_predictions(folder, job_folder.set_name(set_id)),
                    aim=model.config.aim,
                    kept=model.kept,
                    reasons=job_folder.read_reasons(folder, job_folder.set_name(set_id)),
                    job_id=job.id,
                    person=job.created_by,
                )
            ingest_baselines(
                self._session,
                folder,
                payload.set_ids,
                version=model.version.number if model.version else None,
                policy_version_id=model.policy_version_id,
                job_id=job.id,
                person=job.created_by,
            )
        for set_id in payload.set_ids:
            self._evaluation.evaluate_teacher(set_id, job.created_by)

    def _write(self, job: Job, payload: ScorePayload, model: _Model, folder: Path) -> None:
        sets = write_sets(self._session, job.project_id, payload.set_ids, folder)
        if model.version is not None and model.version.policy_version_id == model.policy_version_id:
            frames = CurationService(self._session).training_frame(model.version.id, Split.TRAIN)
            job_folder.write_rows(folder / "train.parquet", frames)
        policies = PolicyService(self._session)
        TrainerJob(
            kind="score",
            base_model=model.base_model,
            policy=policies.training_policy(policies.get(model.policy_version_id)),
            config=model.config,
            adapter=None if model.adapter is None else str(model.adapter),
            sets=sets,
            prompt_hash=model.prompt_hash,
            inference=payload.inference,
            # They are written anyway where the labels come after them.
            reasons=(payload.inference or model.config.answers) == "reasoned",
        ).write(folder)

    def _models(self, job: Job, payload: ScorePayload) -> list[_Model]:
        models = [self._student(run_id, payload.inference) for run_id in payload.run_ids]
        return [self._base(job.project_id), *models] if payload.base else models

    def _base(self, project_id: int) -> _Model:
        name = checked_name(self._settings.base_model)
        # The base model is asked as the students were, so that long policies fit in alike.
        last = RunRepository(self._session).newest_result(name)
        return _Model(
            ModelKind.BASE,
            name,
            PolicyService(self._session).newest(project_id).id,
            Config(max_length=last.config["max_length"]) if last else Config(),
            next(iter(CurationService(self._session).versions(project_id)), None),
        )

    def _student(self, run_id: int, inference: Inference | None) -> _Model:
        run = RunRepository(self._session).get(run_id)
        if run is None or run.prompt_hash is None:
            raise InvalidInputError(
                f"The run with the id {run_id} has no adapter to score.", "Choose a run that finished."
            )
        runs = RunService(self._session, self._settings)
        return _Model(
            ModelKind.RUN,
            run.base_model,
            run.policy_version_id,
            Config.model_validate(run.config),
            RunRepository(self._session).version(run.dataset_version_id),
            run.id,
            runs.adapter(run),
            run.prompt_hash,
            runs.kept(run, inference),
        )
