"""What can be done with fine-tunes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from backend import events
from backend.base_models import checked_name
from backend.curation.service import CurationService
from backend.db.models import DatasetVersion, Project, Run
from backend.db.models.curation import Handling
from backend.db.models.evaluation import ModelKind, SetOrigin
from backend.db.models.jobs import JobKind
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.evaluation.gain import read_gains
from backend.evaluation.judging import Kept
from backend.evaluation.results import Gain, ModelRow
from backend.evaluation.results_service import ResultsService
from backend.evaluation.scoring_service import ScoringService
from backend.evaluation.service import EvaluationService
from backend.jobs.payloads import TrainPayload
from backend.jobs.service import JobService
from backend.runs.choices import configure, preset_name
from backend.runs.repository import RunRepository
from backend.runs.views import NewDecisions, RunSummary
from backend.settings import Settings, get_settings
from training.adapter import CARD, AdapterError, Card
from training.job import Config
from training.prompt import Form

FIRST_PRESET = "standard"
"""What a retraining takes while the base model is champion."""

_NAME = re.compile(r"\s*(?:run\s*)?#?(\d+)\s*", re.IGNORECASE)


class RunService:
    """Fine-tunes as pages, commands and the worker see them."""

    def __init__(self, session: Session, settings: Settings | None = None) -> None:
        self._session = session
        self._runs = RunRepository(session)
        self._settings = settings or get_settings()

    def start(
        self,
        project_id: int,
        *,
        version_id: int,
        preset: str = "quick",
        config: Config | None = None,
        base_model: str | None = None,
        seed: int | None = None,
        set_ids: Sequence[int] = (),
        learned: int = 0,
        person: str,
    ) -> Run:
        """Make a run and the job that carries it out.

        Where the champion was never scored on one of the sets, as when the test split has changed
        since, a second job does that after the fine-tune.

        Args:
            project_id: the project.
            version_id: the dataset version that is learned.
            preset: a name of `training.job.PRESETS`.
            config: all settings, where they differ from the preset's.
            base_model: a folder, a hub id or "default"; the settings' where not given.
            seed: the settings' own where not given.
            set_ids: evaluation sets to score beside the test split, which always is.
            learned: how many of the rows that it learns to score too.
            person: who starts it.

        Raises:
            InvalidInputError: nothing to learn or to prefer, an unknown preset, or no such folder of a
                base model.
        """
        version = self._version(version_id)
        if version.project_id != project_id:
            raise InvalidInputError(f"Dataset version {version.number} belongs to another project.")
        require_rows(version)
        chosen = config or configure(preset)
        if seed is not None:
            chosen = chosen.model_copy(update={"seed": seed})
        if chosen.preference is not None:
            self._require_pairs(version, chosen)
        name = checked_name(base_model or self._settings.base_model)
        sets = self._sets(project_id, set_ids, person)
        job = JobService(self._session, self._settings).create(
            project_id,
            JobKind.TRAIN,
            title=f"Fine-tune on dataset version {version.number}",
            payload=TrainPayload(set_ids=sets, learned=learned),
            person=person,
        )
        run = self._runs.add(
            Run(
                project_id=project_id,
                dataset_version_id=version.id,
                policy_version_id=version.policy_version_id,
                job_id=job.id,
                base_model=name,
                preset=preset_name(preset, chosen),
                config=chosen.model_dump(mode="json"),
                seed=chosen.seed,
                created_by=person,
            )
        )
        job.title = f"Run {run.number}: dataset version {version.number}, {run.preset}"
        champion_job = self._score_champion(project_id, sets, person)
        job.payload = TrainPayload(set_ids=sets, champion_job_id=champion_job, learned=learned).model_dump(
            mode="json"
        )
        events.record(
            self._session, project_id, person, f"Run {run.number} on dataset version {version.number} started"
        )
        self._session.flush()
        return run

    def retrain(self, project_id: int, *, person: str) -> Run:
        """Learn people's newest decisions with the champion's settings, judged on the same sets."""
        project = self._project(project_id)
        built = CurationService(self._session).build(project_id, Handling.REVIEW, person=person)
        champion = self._runs.get(project.champion_run_id) if project.champion_run_id else None
        names = self._runs.set_names_of(project_id, project.champion_run_id)
        # The test split is frozen anew at the start, as it stands by then.
        sets = [
            found.id
            for found in EvaluationService(self._session).sets(project_id)
            if found.name in names and found.origin is not SetOrigin.TEST_SPLIT
        ]
        return self.start(
            project_id,
            version_id=built.version.id,
            preset=champion.preset if champion else FIRST_PRESET,
            config=Config.model_validate(champion.config) if champion else None,
            base_model=champion.base_model if champion else None,
            set_ids=sets,
            person=person,
        )

    def new_decisions(self, project_id: int) -> NewDecisions:
        """Decisions since the last run that finished: one that failed or was stopped taught nothing."""
        number, known = self._runs.last_learned(project_id) or (None, 0)
        return NewDecisions(self._runs.decisions_after(project_id, known), number)

    def list(self, project_id: int) -> Sequence[RunSummary]:
        """A project's runs with their figures on the test split as it is shown, the newest run first."""
        champion = self._project(project_id).champion_run_id
        headlines = self._headlines(project_id)
        return [
            RunSummary(run, job, version.number, version.handling, run.id == champion, headlines.get(run.id))
            for run, job, version in self._runs.list(project_id)
        ]

    def get(self, project_id: int, number_or_name: int | str) -> Run:
        """One run by its number, "2" or "run 2".

        Raises:
            NotFoundError: there is none.
        """
        match = _NAME.fullmatch(str(number_or_name))
        run = self._runs.by_number(project_id, int(match[1])) if match else None
        if run is None:
            raise NotFoundError(
                f"There is no run {number_or_name!r}.", "overrule runs list shows the runs there are."
            )
        return run

    def of_job(self, job_id: int) -> Run:
        """The run that a job carries out.

        Raises:
            NotFoundError: the job is no fine-tune.
        """
        run = self._runs.of_job(job_id)
        if run is None:
            raise NotFoundError(f"Job {job_id} is no fine-tune.")
        return run

    def jobs_of(self, run: Run) -> tuple[int, ...]:
        """The run's job, and the one that scores the champion beside it where that was needed."""
        champion_job = self.payload(run).champion_job_id
        return (run.job_id,) if champion_job is None else (run.job_id, champion_job)

    def payload(self, run: Run) -> TrainPayload:
        """What was asked for beside the settings."""
        job = JobService(self._session, self._settings).get(run.job_id)
        return TrainPayload.model_validate(job.payload)

    def folder(self, run: Run) -> Path:
        """Where its job is done."""
        return Path(JobService(self._session, self._settings).get(run.job_id).folder or "")

    def adapter(self, run: Run) -> Path:
        """Where a run's adapter lies."""
        return self.folder(run) / "adapter"

    def knows_both(self, run: Run) -> bool:
        """Whether its student was taught to give labels at once as well as behind a reason.

        Raises:
            ConflictError: the student is not where it was left.
        """
        taught = set(self.card(run).forms)
        return run.config.get("answers") == "both" and {"direct", "reasoned"} <= taught

    def card(self, run: Run) -> Card:
        """What a run's student is.

        Raises:
            ConflictError: the student is not where it was left.
        """
        try:
            return Card.read(self.adapter(run))
        except AdapterError as error:
            raise ConflictError(
                f"The student of run {run.number} is not there any more: {error}.",
                "Put its folder back, or train another.",
            ) from error

    def kept(self, run: Run, form: Form | None = None) -> Kept | None:
        """The thresholds and the temperature that lie with a run's student.

        Args:
            run: the run.
            form: how the student is asked; None as it is asked by itself.

        Returns:
            None where nothing was chosen for this form, or nothing at all.
        """
        if not (self.adapter(run) / CARD).is_file():
            return None
        card = self.card(run)
        return Kept(card.thresholds, card.temperature) if form in (None, card.form) else None

    def promote(self, project_id: int, run_id: int | None, *, person: str) -> None:
        """Make a finished run, or the base model where None, the model in use.

        Raises:
            ConflictError: the run is not finished, or is of another project.
        """
        project = self._project(project_id)
        name = "the base model"
        if run_id is not None:
            run = self._runs.get(run_id)
            if run is None or run.project_id != project_id:
                raise NotFoundError(f"There is no run with the id {run_id} in {project.name}.")
            if run.prompt_hash is None:
                raise ConflictError(
                    f"Run {run.number} has not finished.",
                    "Only a run that left an adapter can become champion.",
                )
            name = f"run {run.number}"
        if project.champion_run_id == run_id:
            return
        project.champion_run_id = run_id
        events.record(self._session, project_id, person, f"{name[0].upper()}{name[1:]} became champion")
        self._session.flush()

    def preference_gains(self, run_id: int) -> Sequence[Gain]:
        """What a run's preference step brought, on each set that it was scored on in its own job."""
        run = self._runs.get(run_id)
        return read_gains(run.result if run else None)

    def _sets(self, project_id: int, set_ids: Sequence[int], person: str) -> tuple[int, ...]:
        try:
            test = [EvaluationService(self._session).freeze_test_split(project_id, person).id]
        except InvalidInputError:
            # Nobody has decided on a post of the test split: the run is judged on what else is chosen.
            test = []
        return tuple(dict.fromkeys((*test, *set_ids)))

    def _score_champion(self, project_id: int, set_ids: Sequence[int], person: str) -> int | None:
        """The job that scores a run which is champion on the sets that are new to it; None where none is."""
        champion = self._project(project_id).champion_run_id
        if champion is None:
            return None
        evaluation = EvaluationService(self._session)
        new = [one for one in set_ids if not evaluation.is_evaluated(one, ModelKind.RUN, run_id=champion)]
        if not new:
            return None
        scoring = ScoringService(self._session)
        job = scoring.start(project_id, run_ids=[champion], base=False, set_ids=new, person=person)
        return job.id

    def _headlines(self, project_id: int) -> dict[int, ModelRow]:
        evaluation = EvaluationService(self._session)
        tests = [found for found in evaluation.shown_sets(project_id) if found.origin is SetOrigin.TEST_SPLIT]
        rows = ResultsService(self._session).table(project_id, tests[0].id) if tests else []
        return {row.run_id: row for row in rows if row.run_id is not None and row.inference is None}

    def _require_pairs(self, version: DatasetVersion, config: Config) -> None:
        pairs = CurationService(self._session).pair_counts(version.id)
        if pairs.learned(config.answers):
            return
        if pairs.reasons:
            raise InvalidInputError(
                f"In dataset version {version.number} people corrected reasons only, and a student that "
                "learns labels only has nothing to prefer in them.",
                "Let it learn reasons too, or switch the preference step off.",
            )
        raise InvalidInputError(
            f"Dataset version {version.number} has nothing to learn a preference from: in none of its "
            "training rows does people's answer stand in place of one of the teacher's.",
            "Switch the preference step off; or review answers and build a version with handling review.",
        )

    def _version(self, version_id: int) -> DatasetVersion:
        version = self._runs.version(version_id)
        if version is None:
            raise NotFoundError(f"There is no dataset version with the id {version_id}.")
        return version

    def _project(self, project_id: int) -> Project:
        project = self._runs.project(project_id)
        if project is None:
            raise NotFoundError(f"There is no project with the id {project_id}.")
        return project


def require_rows(version: DatasetVersion) -> None:
    """Refuse a dataset version from which nothing can be learned.

    Raises:
        InvalidInputError: it has no training rows.
    """
    rows = version.counts.get("rows", {})
    if not rows.get("train"):
        raise InvalidInputError(
            f"Dataset version {version.number} has no training rows.",
            "Import or review posts of the training split, then build a new version.",
        )
