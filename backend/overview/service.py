"""Where a project stands and what to do next."""

from __future__ import annotations

from sqlalchemy.orm import Session

from backend import events
from backend.db.models.content import Agreement, Queue, Split
from backend.db.models.evaluation import ModelKind, SetOrigin
from backend.db.models.jobs import JobState
from backend.evaluation.results import ModelRow
from backend.evaluation.results_service import ResultsService
from backend.evaluation.service import EvaluationService
from backend.overview import steps
from backend.overview.lately import LOOKED_AT, judged
from backend.overview.repository import OverviewRepository
from backend.overview.views import Champion, Happening, NextStep, Standing, Step
from backend.runs.service import RunService
from backend.teacher.results import DIFFERING

_READABLE = (Agreement.AGREES, Agreement.UNVERIFIED, *DIFFERING)


class OverviewService:
    """One project at a glance."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._repository = OverviewRepository(session)

    def standing(self, project_id: int) -> Standing:
        """Everything that the steps follow from, read once."""
        by_agreement = self._repository.agreements(project_id)
        splits = self._repository.splits(project_id)
        dropped = self._repository.answered_but_dropped(project_id)
        waiting = self._repository.waiting(project_id)
        sent_back = self._repository.sent_back(project_id)
        new = RunService(self._session).new_decisions(project_id)
        version = self._repository.newest_version(project_id)
        run = self._repository.newest_run(project_id)
        champion = self.champion(project_id)
        champion_run = self._repository.champion_run(project_id)
        return Standing(
            items=sum(by_agreement.values()),
            training=splits.get(Split.TRAIN, 0),
            test=splits.get(Split.TEST, 0),
            answered=sum(by_agreement.get(each, 0) for each in _READABLE) + dropped.get(True, 0),
            invalid=by_agreement.get(Agreement.INVALID, 0) + dropped.get(False, 0),
            unanswered=by_agreement.get(Agreement.UNANSWERED, 0),
            differing=sum(by_agreement.get(each, 0) for each in DIFFERING),
            unverified=by_agreement.get(Agreement.UNVERIFIED, 0),
            reviewed=self._repository.reviewed(project_id),
            differing_left=waiting.get((Queue.TEACHER, True), 0) - sent_back,
            sent_back_left=sent_back,
            unverified_left=waiting.get((Queue.TEACHER, False), 0)
            and by_agreement.get(Agreement.UNVERIFIED, 0),
            scratch_left=sum(n for (queue, _), n in waiting.items() if queue is Queue.SCRATCH),
            version_number=version.number if version else None,
            version_rows=sum(version.counts["rows"].values()) if version else 0,
            run_number=run[0].number if run else None,
            run_champion=run is not None and champion_run is not None and run[0].id == champion_run.id,
            run_failed=run is not None and run[1].state in (JobState.FAILED, JobState.INTERRUPTED),
            run_stopped=run is not None and run[1].state is JobState.STOPPED,
            runs_done=self._repository.runs_done(project_id),
            new_decisions=new.count,
            new_since=new.since,
            champion_f1=champion.row.macro_f1 if champion.row else None,
            base_f1=champion.base.macro_f1 if champion.base else None,
            active=self._repository.active(project_id),
        )

    def steps(self, project_id: int) -> list[Step]:
        """The six steps, the next sensible one marked."""
        return steps.steps(self.standing(project_id))

    def next_step(self, project_id: int) -> NextStep:
        """What to do next."""
        return steps.next_step(self.standing(project_id))

    def champion(self, project_id: int) -> Champion:
        """The model in use with its figures on the project's test split."""
        run = self._repository.champion_run(project_id)
        name = f"Run {run.number}" if run else "Base model"
        evaluations = EvaluationService(self._session)
        sets = [each for each in evaluations.shown_sets(project_id) if each.origin is SetOrigin.TEST_SPLIT]
        if not sets:
            return Champion(name)
        rows = ResultsService(self._session).table(project_id, sets[0].id)
        row = next((row for row in rows if row.champion), None)
        return Champion(
            name=name,
            set_name=sets[0].name,
            row=row,
            base=next((each for each in rows if each.kind is ModelKind.BASE), None) if run else None,
            challenger=_challenger(rows, row),
        )

    def latest(self, project_id: int, limit: int = 8) -> list[Happening]:
        """What happened lately, newest first; what a person judged on a day is one line."""
        recorded = events.latest(self._session, project_id, limit)
        happened = [Happening(event.created_at, event.person, event.text) for event in recorded]
        happened += judged(*self._repository.judged(project_id, LOOKED_AT))
        return sorted(happened, key=lambda one: one.at, reverse=True)[:limit]


def _challenger(rows: list[ModelRow], champion: ModelRow | None) -> ModelRow | None:
    """The newest run that is evaluated, where it came after the champion."""
    runs = [row for row in rows if row.run_id is not None and not row.champion]
    newest = max(runs, key=lambda row: row.run_id or 0, default=None)
    after = champion.run_id if champion and champion.run_id else 0
    return newest if newest is not None and (newest.run_id or 0) > after else None
