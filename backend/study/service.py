"""What can be done with studies. A study has no row of its own: its cells are found among the runs.

A cell is done where a run learned the very same rows under the same policy, with the same settings,
answers, seed and base model. Whoever started that run, and for what, makes no difference, so that
a study that was broken off, or asked for again with more seeds, trains only what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from backend.base_models import checked_name
from backend.curation.handling import Why
from backend.curation.service import CurationService
from backend.db.models import DatasetVersion, EvaluationSet, Job, Run
from backend.db.models.content import Split
from backend.db.models.evaluation import SetOrigin
from backend.db.models.jobs import JobState
from backend.errors import InvalidInputError
from backend.evaluation.scoring_service import ScoringService
from backend.evaluation.service import EvaluationService
from backend.jobs.payloads import Inference, ScorePayload
from backend.jobs.service import JobService
from backend.jobs.states import RESUMABLE
from backend.runs.estimates import EstimateService
from backend.runs.service import RunService
from backend.runs.views import Estimate
from backend.settings import Settings, get_settings
from backend.study.grid import Cell
from backend.study.repository import StudyRepository
from training.job import Config
from training.prompt import Form

LEARNED = 300
"""Rows that a student learned and that are scored too, to see how far it overfits."""


@dataclass(frozen=True, slots=True)
class Study:
    """What all cells share.

    Attributes:
        config: the settings; each cell has its own answers and seed.
        preset: the preset that they come from.
        base_model: a folder, a hub id or "default"; the settings' where None.
        set_ids: the evaluation sets beside the test split.
        label_only: whether students taught both forms are asked for the label only.
    """

    project_id: int
    config: Config
    preset: str
    base_model: str | None
    set_ids: tuple[int, ...]
    person: str
    label_only: bool = False


@dataclass(frozen=True, slots=True)
class Learned:
    """The dataset version of a cell, as numbers; `leaking` posts nearly repeat a post of a set."""

    id: int
    number: int
    policy_version_id: int
    hash: str
    rows: int
    reasoned: int
    leaking: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """The run of a cell, and where it stands."""

    run: Run
    state: JobState

    @property
    def done(self) -> bool:
        """Whether there is a student."""
        return self.state is JobState.SUCCEEDED


class StudyService:
    """Builds, finds, starts and scores the cells of a study."""

    def __init__(self, session: Session, settings: Settings | None = None) -> None:
        self._session = session
        self._settings = settings or get_settings()
        self._study = StudyRepository(session)
        self._curation = CurationService(session)
        self._evaluation = EvaluationService(session)
        self._scoring = ScoringService(session)
        self._jobs = JobService(session, self._settings)

    def freeze(self, study: Study) -> None:
        """Freeze the test split as it stands, so that all cells are judged by the same labels."""
        try:
            self._evaluation.freeze_test_split(study.project_id, study.person)
        except InvalidInputError:
            # Nobody has decided on a post of it: the study is judged on the other sets.
            if not study.set_ids:
                raise

    def build(self, study: Study, cell: Cell, available: int | None = None) -> Learned:
        """The cell's dataset version, made where there is none.

        Args:
            study: what all cells share.
            cell: the cell.
            available: training rows that its handling gives in all; None where that is not known yet.

        Raises:
            InvalidInputError: it would have no training rows.
        """
        variation = cell.variation(available)
        built = self._curation.build(
            study.project_id, cell.handling, variation=variation, person=study.person
        )
        return _learned(built.version)

    def trained(self, study: Study, cell: Cell, learned: Learned) -> Trained | None:
        """The cell's run: one that has ended well before one that is at work, and that before others."""
        wanted = cell.config(study.config)
        runs = self._study.runs(
            study.project_id,
            rows_hash=learned.hash,
            policy_version_id=learned.policy_version_id,
            base_model=checked_name(study.base_model or self._settings.base_model),
        )
        found = [Trained(run, job.state) for run, job in runs if Config.model_validate(run.config) == wanted]
        # Sorting keeps the newest first among equals.
        return min(found, key=lambda one: (not one.done, one.state in RESUMABLE), default=None)

    def begin(self, study: Study, cell: Cell, learned: Learned) -> tuple[int, ...]:
        """See to it that the cell's run is on its way; gives the jobs to follow, none where it is done."""
        trained = self.trained(study, cell, learned)
        if trained is None:
            return self._start(study, cell, learned)
        if trained.state in RESUMABLE:
            self._jobs.resume(trained.run.job_id, study.person)
        return () if trained.done else (trained.run.job_id,)

    def begin_scoring(self, study: Study, run: Run) -> list[int]:
        """See to it that a student is scored on all sets as they stand, in each wanted form that it knows.

        Returns:
            The jobs to follow, none where nothing is missing.
        """
        jobs = []
        for inference in (None,) if study.label_only else self.inferences(run):
            missing = [
                one.id
                for one in self.sets(study)
                if self._study.evaluation(one.id, run.id, inference) is None
            ]
            if missing:
                jobs.append(self._score(study, run, inference, missing))
        return jobs

    def sets(self, study: Study) -> list[EvaluationSet]:
        """The test split as it stands, where any of it is decided, and the chosen sets."""
        sets = self._evaluation.sets(study.project_id)
        return [one for one in sets if one.origin is SetOrigin.TEST_SPLIT or one.id in study.set_ids]

    def inferences(self, run: Run) -> tuple[Inference | None, ...]:
        """The ways in which a student is asked: as it is by itself, and with a reason where it knows both."""
        return (None, "reasoned") if RunService(self._session, self._settings).knows_both(run) else (None,)

    def form(self, run: Run) -> Form:
        """The form in which a student answers when it is asked as it is by itself."""
        return RunService(self._session, self._settings).card(run).form

    def estimate(self, study: Study, cell: Cell, learned: Learned) -> Estimate:
        """What the cell's fine-tune would take, and what to ask its student in a second form."""
        service = EstimateService(self._session, self._settings)
        found = service.estimate(learned.id, cell.config(study.config), study.base_model, study.set_ids)
        # That there is no row of the category that was to be left out is no reason for caution.
        meant = [each for each in found.cautions if each.missing != (cell.leave_out,)]
        return replace(found, cautions=tuple(meant))

    def _start(self, study: Study, cell: Cell, learned: Learned) -> tuple[int, ...]:
        runs = RunService(self._session, self._settings)
        run = runs.start(
            study.project_id,
            version_id=learned.id,
            preset=study.preset,
            config=cell.config(study.config),
            base_model=study.base_model,
            set_ids=study.set_ids,
            learned=LEARNED,
            person=study.person,
        )
        return runs.jobs_of(run)

    def _score(self, study: Study, run: Run, inference: Inference | None, set_ids: Sequence[int]) -> int:
        """The job that scores a student; one that was broken off goes on."""
        wanted = ScorePayload(run_ids=(run.id,), set_ids=tuple(set_ids), inference=inference)
        job = self._unfinished(study.project_id, wanted)
        if job is None:
            job = self._scoring.start(
                study.project_id,
                run_ids=[run.id],
                base=False,
                set_ids=set_ids,
                inference=inference,
                person=study.person,
            )
        elif job.state in RESUMABLE:
            self._jobs.resume(job.id, study.person)
        return job.id

    def _unfinished(self, project_id: int, wanted: ScorePayload) -> Job | None:
        jobs = self._study.scoring_jobs(project_id)
        unfinished = (job for job in jobs if job.state is not JobState.SUCCEEDED)
        return next((job for job in unfinished if ScorePayload.model_validate(job.payload) == wanted), None)


def _learned(version: DatasetVersion) -> Learned:
    return Learned(
        id=version.id,
        number=version.number,
        policy_version_id=version.policy_version_id,
        hash=version.hash,
        rows=version.counts["rows"][Split.TRAIN.value],
        reasoned=version.counts["reasoned"],
        leaking=sum(
            posts for why, posts in version.counts["left_out"].items() if why.startswith(Why.NEARLY.value)
        ),
    )
