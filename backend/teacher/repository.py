"""All SQL about teacher runs and their answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, insert, select
from sqlalchemy.orm import Session, aliased

from backend.db.models import Item, ItemLabel, Judgement, TeacherAnswer, TeacherRun
from backend.db.models.base import now
from backend.db.models.content import Agreement
from backend.teacher.results import DIFFERING, TeacherRunSummary

_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Post:
    """A post to ask about.

    Attributes:
        decision: what people decided; None where nobody did. It is compared with the answer
            and has no way into the prompt.
        run_id: the run of the first answer, where the post waits for a recheck only.
        first: that answer as it came.
    """

    item_id: int
    text: str
    decision: frozenset[str] | None
    run_id: int | None = None
    first: str | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks what: rechecks go on only in the very same conversation."""

    model: str
    prompt_hash: str


class TeacherRepository:
    """Reads what is to be asked; keeps what was said."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def count(self, project_id: int, agreement: Agreement) -> int:
        """How many posts stand so."""
        query = select(func.count()).select_from(Item)
        return self._session.scalar(query.where(_stands(project_id, (agreement,)))) or 0

    def count_posts(self, project_id: int, agreements: Sequence[Agreement], *, run_id: int) -> int:
        """How many posts to ask about, without those that this run asked already."""
        query = select(func.count()).select_from(Item)
        return (
            self._session.scalar(query.where(_stands(project_id, agreements), ~_answered_in(run_id, Item.id)))
            or 0
        )

    def mean_length(self, project_id: int, agreements: Sequence[Agreement]) -> float:
        """Characters of a post to ask about, from the first ones."""
        sample = (
            select(func.length(Item.text).label("length"))
            .where(_stands(project_id, agreements))
            .limit(_SAMPLE)
            .subquery()
        )
        return float(self._session.scalar(select(func.avg(sample.c.length))) or 0.0)

    def posts(
        self, project_id: int, agreements: Sequence[Agreement], *, run_id: int, after: int, limit: int
    ) -> list[Post]:
        """Posts to ask about after an item's id, without those that this run asked already."""
        rows = self._session.execute(
            select(Item.id, Item.text, Item.decision_id)
            .where(_stands(project_id, agreements), Item.id > after, ~_answered_in(run_id, Item.id))
            .order_by(Item.id)
            .limit(limit)
        ).all()
        labels = self._labels(row.id for row in rows)
        return [
            Post(row.id, row.text, frozenset(labels[row.id]) if row.decision_id is not None else None)
            for row in rows
        ]

    def count_rechecks(self, project_id: int, asker: Asker) -> int:
        """How many wrong answers wait for their recheck."""
        waiting = _rechecks(project_id, asker).order_by(None).subquery()
        return self._session.scalar(select(func.count()).select_from(waiting)) or 0

    def rechecks(self, project_id: int, asker: Asker, *, after: int, limit: int) -> list[Post]:
        """Wrong answers that wait for their recheck, after an item's id."""
        rows = self._session.execute(_rechecks(project_id, asker).where(Item.id > after).limit(limit)).all()
        labels = self._labels(row.id for row in rows)
        return [Post(row.id, row.text, frozenset(labels[row.id]), row.run_id, row.raw) for row in rows]

    def add_run(self, run: TeacherRun) -> TeacherRun:
        """Store a run and give it its id."""
        self._session.add(run)
        self._session.flush()
        return run

    def run_of_job(self, job_id: int) -> TeacherRun | None:
        """The newest run that a job began."""
        query = select(TeacherRun).where(TeacherRun.job_id == job_id).order_by(TeacherRun.id.desc())
        return self._session.scalars(query.limit(1)).first()

    def first_answers(self, run_id: int) -> int:
        """How many posts the run has an answer to."""
        query = select(func.count()).where(TeacherAnswer.run_id == run_id, TeacherAnswer.round == 0)
        return self._session.scalar(query) or 0

    def add_answers(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Store answers, one mapping of columns each."""
        if answers:
            created = {"created_at": now()}
            self._session.execute(insert(TeacherAnswer), [{**answer, **created} for answer in answers])

    def set_failed(self, run_id: int, failed: Mapping[str, int], *, finished: bool) -> None:
        """Keep how many posts got no answer, and whether the run is over."""
        run = self._session.get_one(TeacherRun, run_id)
        run.failed = dict(failed)
        run.finished_at = now() if finished else None

    def agreement_counts(self, project_id: int) -> dict[Agreement, int]:
        """How many posts stand in each way."""
        rows = self._session.execute(
            select(Item.agreement, func.count()).where(Item.project_id == project_id).group_by(Item.agreement)
        )
        return dict(rows.all())

    def agreed_by_category(self, project_id: int) -> Counter[str]:
        """How often teacher and people name a category where they agree on the whole."""
        rows = self._session.execute(
            select(ItemLabel.code, func.count())
            .join(Item, Item.id == ItemLabel.item_id)
            .where(_stands(project_id, (Agreement.AGREES,)))
            .group_by(ItemLabel.code)
        )
        return Counter(dict(rows.all()))

    def differing_labels(self, project_id: int) -> list[tuple[tuple[str, ...], tuple[str, ...], int]]:
        """The teacher's and people's labels where they differ, with how often each pair occurs."""
        rows = self._session.execute(
            select(TeacherAnswer.labels, Judgement.labels, func.count())
            .select_from(Item)
            .join(TeacherAnswer, TeacherAnswer.id == Item.answer_id)
            .join(Judgement, Judgement.id == Item.decision_id)
            .where(_stands(project_id, DIFFERING))
            .group_by(TeacherAnswer.labels, Judgement.labels)
        )
        return [(teacher or (), people or (), count) for teacher, people, count in rows]

    def summaries(self, project_id: int) -> list[TeacherRunSummary]:
        """All runs of a project, the newest first."""
        runs = self._session.scalars(
            select(TeacherRun).where(TeacherRun.project_id == project_id).order_by(TeacherRun.id.desc())
        ).all()
        counts = self._answer_counts(project_id)
        mended = self._mended(project_id)
        return [_summary(run, counts[run.id], mended[run.id]) for run in runs]

    def _answer_counts(self, project_id: int) -> defaultdict[int, Counter[str]]:
        unread = TeacherAnswer.labels.is_(None)
        # What people see of an item is about the answer that stands, which may be another run's.
        stands = Item.answer_id == TeacherAnswer.id
        kind = (TeacherAnswer.run_id, TeacherAnswer.round, unread, stands, Item.agreement)
        rows = self._session.execute(
            select(*kind, func.count())
            .select_from(TeacherAnswer)
            .join(TeacherRun, TeacherRun.id == TeacherAnswer.run_id)
            .join(Item, Item.id == TeacherAnswer.item_id)
            .where(TeacherRun.project_id == project_id)
            .group_by(*kind)
        )
        counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for run_id, round_, unreadable, standing, agreement, count in rows:
            found = counts[run_id]
            if round_ > 0:
                found["rechecked"] += count
            elif unreadable:
                found["invalid"] += count
            else:
                found["answered"] += count
                found["agrees"] += count if standing and agreement is Agreement.AGREES else 0
                found["differs"] += count if standing and agreement in DIFFERING else 0
        return counts

    def _mended(self, project_id: int) -> Counter[int]:
        rows = self._session.execute(
            select(TeacherAnswer.run_id, TeacherAnswer.labels, Judgement.labels, func.count())
            .select_from(TeacherAnswer)
            .join(Item, Item.id == TeacherAnswer.item_id)
            .join(Judgement, Judgement.id == Item.decision_id)
            .where(Item.project_id == project_id, TeacherAnswer.round == 1)
            .group_by(TeacherAnswer.run_id, TeacherAnswer.labels, Judgement.labels)
        )
        mended: Counter[int] = Counter()
        for run_id, teacher, people, count in rows:
            if teacher is not None and people is not None and set(teacher) == set(people):
                mended[run_id] += count
        return mended

    def _labels(self, item_ids: Iterable[int]) -> defaultdict[int, set[str]]:
        rows = self._session.execute(
            select(ItemLabel.item_id, ItemLabel.code).where(ItemLabel.item_id.in_(list(item_ids)))
        )
        labels: defaultdict[int, set[str]] = defaultdict(set)
        for item_id, code in rows:
            labels[item_id].add(code)
        return labels


def _stands(project_id: int, agreements: Sequence[Agreement]) -> ColumnElement[bool]:
    return (Item.project_id == project_id) & Item.agreement.in_(agreements)


def _answered_in(run_id: int, item_id: Any) -> ColumnElement[bool]:
    return exists().where(
        TeacherAnswer.run_id == run_id, TeacherAnswer.item_id == item_id, TeacherAnswer.round == 0
    )


def _rechecks(project_id: int, asker: Asker) -> Select[int, str, int, str]:
    again = aliased(TeacherAnswer)
    return (
        select(Item.id, Item.text, TeacherAnswer.run_id, TeacherAnswer.raw)
        .join(TeacherAnswer, TeacherAnswer.id == Item.answer_id)
        .join(TeacherRun, TeacherRun.id == TeacherAnswer.run_id)
        .where(
            _stands(project_id, DIFFERING),
            TeacherRun.model == asker.model,
            TeacherRun.prompt_hash == asker.prompt_hash,
            ~exists().where(
                again.run_id == TeacherAnswer.run_id, again.item_id == TeacherAnswer.item_id, again.round == 1
            ),
        )
        .order_by(Item.id)
    )


def _summary(run: TeacherRun, counts: Counter[str], mended: int) -> TeacherRunSummary:
    return TeacherRunSummary(
        id=run.id,
        origin=run.origin,
        endpoint=run.endpoint,
        model=run.model,
        policy_version_id=run.policy_version_id,
        prompt_hash=run.prompt_hash,
        recheck=run.recheck,
        job_id=run.job_id,
        wanted=run.wanted,
        answered=counts["answered"],
        agrees=counts["agrees"],
        differs=counts["differs"],
        invalid=counts["invalid"],
        errors=run.failed,
        rechecked=counts["rechecked"],
        mended=mended,
        created_at=run.created_at,
        created_by=run.created_by,
        finished_at=run.finished_at,
    )
