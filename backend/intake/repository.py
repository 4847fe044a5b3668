"""Intake's SQL: rows go in by chunks, and what is there already is looked up by chunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from backend.db.models import (
    Base,
    EvaluationRow,
    EvaluationSet,
    Import,
    Item,
    Judgement,
    TeacherAnswer,
    TeacherRun,
)
from backend.db.models.content import Split
from backend.db.models.evaluation import SetOrigin
from backend.db.models.review import Source
from backend.db.models.teacher import TeacherOrigin
from backend.items.decision import Said, standing

# SQLite takes at most 32,766 values in one statement.
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item that the project has."""

    id: int
    external_id: str
    text_hash: str
    split: Split


@dataclass(frozen=True, slots=True)
class Gold:
    """The gold judgement that stands for an item."""

    id: int
    labels: tuple[str, ...] | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class KnownRound:
    """One round of an answer as it is stored."""

    labels: tuple[str, ...] | None
    analysis: str
    harmful: tuple[str, ...]
    raw: str = ""
    error: str | None = field(default=None, compare=False)


class IntakeRepository:
    """All that intake reads and writes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_import(
        self, project_id: int, *, file_name: str, file_hash: str, mapping: dict[str, Any], person: str
    ) -> Import:
        """Note a file that is being read in."""
        row = Import(
            project_id=project_id,
            file_name=file_name[:200],
            file_hash=file_hash,
            mapping=mapping,
            counts={},
            created_by=person,
        )
        self._session.add(row)
        self._session.flush()
        return row

    def forget_import(self, row: Import) -> None:
        """Take back the note of a file that added nothing."""
        self._session.delete(row)
        self._session.flush()

    def items(
        self, project_id: int, *, external_ids: Iterable[str], hashes: Iterable[str]
    ) -> list[KnownItem]:
        """The project's items with one of these ids or texts."""
        rows = self._session.execute(
            select(Item.id, Item.external_id, Item.text_hash, Item.split).where(
                Item.project_id == project_id,
                or_(Item.external_id.in_(list(external_ids)), Item.text_hash.in_(list(hashes))),
            )
        )
        return [KnownItem(*row) for row in rows]

    def add_items(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add items."""
        self._insert(Item, rows)

    def held_out(self, project_id: int, hashes: Iterable[str]) -> set[str]:
        """Of these texts, those that occur in an imported evaluation set of the project."""
        rows = self._session.scalars(
            select(EvaluationRow.text_hash)
            .join(EvaluationSet, EvaluationSet.id == EvaluationRow.set_id)
            .where(
                EvaluationSet.project_id == project_id,
                EvaluationSet.origin == SetOrigin.IMPORTED,
                EvaluationRow.text_hash.in_(list(hashes)),
            )
        )
        return set(rows)

    def gold(self, item_ids: Sequence[int]) -> dict[int, Gold]:
        """The gold judgements that stand for these items."""
        rows = self._session.execute(
            select(
                Judgement.item_id,
                Judgement.id,
                Judgement.source,
                Judgement.person,
                Judgement.labels,
                Judgement.verdict,
                Judgement.supersedes_id,
                Judgement.reason,
            )
            .where(Judgement.item_id.in_(item_ids), Judgement.source == Source.GOLD)
            .order_by(Judgement.id)
        )
        said: dict[int, list[Said]] = defaultdict(list)
        reasons: dict[int, str | None] = {}
        for item_id, number, source, person, labels, verdict, supersedes_id, reason in rows:
            said[item_id].append(Said(number, source, person, labels, verdict, supersedes_id))
            reasons[number] = reason
        stands = {item_id: standing(judgements) for item_id, judgements in said.items()}
        return {
            item_id: Gold(judgement.id, judgement.labels, reasons[judgement.id])
            for item_id, judgement in stands.items()
            if judgement is not None
        }

    def add_judgements(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add judgements."""
        self._insert(Judgement, rows)

    def add_teacher_run(
        self, project_id: int, *, policy_version_id: int, model: str, person: str
    ) -> TeacherRun:
        """Note a pass of a teacher that was made elsewhere."""
        run = TeacherRun(
            project_id=project_id,
            policy_version_id=policy_version_id,
            origin=TeacherOrigin.IMPORTED,
            model=model,
            created_by=person,
        )
        self._session.add(run)
        self._session.flush()
        return run

    def answers(
        self, project_id: int, model: str, item_ids: Sequence[int]
    ) -> dict[int, tuple[KnownRound, ...]]:
        """What the newest import of this teacher's answers holds for each of these items."""
        rows = self._session.execute(
            select(
                TeacherAnswer.item_id,
                TeacherAnswer.run_id,
                TeacherAnswer.labels,
                TeacherAnswer.analysis,
                TeacherAnswer.harmful,
                TeacherAnswer.raw,
            )
            .join(TeacherRun, TeacherRun.id == TeacherAnswer.run_id)
            .where(
                TeacherRun.project_id == project_id,
                TeacherRun.origin == TeacherOrigin.IMPORTED,
                TeacherRun.model == model,
                TeacherAnswer.item_id.in_(item_ids),
            )
            .order_by(TeacherAnswer.run_id, TeacherAnswer.round)
        )
        found: dict[int, tuple[int, list[KnownRound]]] = {}
        for item_id, run_id, labels, analysis, harmful, raw in rows:
            if item_id not in found or found[item_id][0] != run_id:
                found[item_id] = run_id, []
            found[item_id][1].append(KnownRound(labels, analysis, harmful, raw))
        return {item_id: tuple(rounds) for item_id, (_, rounds) in found.items()}

    def add_answers(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add answers."""
        self._insert(TeacherAnswer, rows)

    def newest_set(self, project_id: int, name: str) -> EvaluationSet | None:
        """The newest version of an evaluation set."""
        return self._session.scalars(
            select(EvaluationSet)
            .where(EvaluationSet.project_id == project_id, EvaluationSet.name == name)
            .order_by(EvaluationSet.number.desc())
            .limit(1)
        ).one_or_none()

    def add_set(self, row: EvaluationSet) -> EvaluationSet:
        """Add a version of an evaluation set."""
        self._session.add(row)
        self._session.flush()
        return row

    def set_meta(self, set_id: int) -> dict[str, dict[str, Any]]:
        """What else is known of each post of an evaluation set, by its id in the file."""
        rows = self._session.execute(
            select(EvaluationRow.external_id, EvaluationRow.meta).where(EvaluationRow.set_id == set_id)
        )
        return {row.external_id: row.meta for row in rows}

    def add_set_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add posts to an evaluation set."""
        for start in range(0, len(rows), _CHUNK):
            self._insert(EvaluationRow, rows[start : start + _CHUNK])

    def items_by_hash(self, project_id: int, hashes: Sequence[str]) -> dict[str, int]:
        """The project's items with one of these texts."""
        found: dict[str, int] = {}
        for start in range(0, len(hashes), _CHUNK):
            chunk = hashes[start : start + _CHUNK]
            rows = self._session.execute(
                select(Item.text_hash, Item.id).where(
                    Item.project_id == project_id, Item.text_hash.in_(chunk)
                )
            )
            found.update((text_hash, item_id) for text_hash, item_id in rows)
        return found

    def hold_out(self, item_ids: Sequence[int]) -> None:
        """Keep items out of training for good."""
        for start in range(0, len(item_ids), _CHUNK):
            chunk = item_ids[start : start + _CHUNK]
            self._session.execute(update(Item).where(Item.id.in_(chunk)).values(held_out=True))

    def _insert(self, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            # Left to itself the ORM leaves out columns that are null, and every change between
            # a row with and one without makes a statement of its own.
            statement = insert(model).execution_options(render_nulls=True)
            self._session.execute(statement, list(rows))
