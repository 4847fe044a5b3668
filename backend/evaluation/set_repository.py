"""The SQL of evaluation sets: versions, posts, and what stands for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Select, func, insert, select
from sqlalchemy.orm import Session, aliased

from backend.db.models import (
    Category,
    Evaluation,
    EvaluationRow,
    EvaluationSet,
    Item,
    Judgement,
    PolicyVersion,
    Project,
    TeacherAnswer,
    TeacherRun,
)
from backend.db.models.content import Split
from backend.db.models.evaluation import SetOrigin
from backend.evaluation.said import SetRows
from backend.intake.cells import as_text
from backend.intake.labels import human_name

# SQLite takes at most 32,766 values in one statement; rows with texts are read in such parts too.
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Decided:
    """An item's post by hash, with the labels that stand for it."""

    item_id: int
    text_hash: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """How many posts there are, and how many characters in all of them."""

    posts: int
    characters: int


@dataclass(frozen=True, slots=True)
class TeacherSaid:
    """A teacher's first answer to a post of a set; `labels` is None where it cannot be read."""

    row_id: int
    labels: tuple[str, ...] | None
    model: str
    policy_version_id: int
    run_id: int
    analysis: str
    harmful: tuple[str, ...]


class SetRepository:
    """Reads and writes sets, and reads what they are made of."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def sets(self, project_id: int) -> list[EvaluationSet]:
        """The newest version of each set, the test split first, then by name."""
        return self._one_of_each(project_id, func.max(EvaluationSet.id))

    def shown_sets(self, project_id: int) -> list[EvaluationSet]:
        """Of each set the newest version on which a model was evaluated, the newest at all where none was."""
        evaluated = select(Evaluation.set_id).where(Evaluation.project_id == project_id)
        newest = func.max(EvaluationSet.id)
        shown = func.coalesce(newest.filter(EvaluationSet.id.in_(evaluated)), newest)
        return self._one_of_each(project_id, shown)

    def _one_of_each(self, project_id: int, version: ColumnElement[int]) -> list[EvaluationSet]:
        """A version of each set, the test split first, then by name.

        Args:
            project_id: whose sets.
            version: chooses the version's id among those of one set.
        """
        chosen = (
            select(version)
            .where(EvaluationSet.project_id == project_id)
            .group_by(EvaluationSet.origin, EvaluationSet.name)
        )
        return list(
            self._session.scalars(
                select(EvaluationSet)
                .where(EvaluationSet.id.in_(chosen))
                .order_by(EvaluationSet.origin != SetOrigin.TEST_SPLIT, EvaluationSet.name)
            )
        )

    def get_set(self, set_id: int) -> EvaluationSet | None:
        """One version of a set."""
        return self._session.get(EvaluationSet, set_id)

    def newest_test_split(self, project_id: int) -> EvaluationSet | None:
        """The newest frozen version of the test split."""
        return self._session.scalar(
            select(EvaluationSet)
            .where(EvaluationSet.project_id == project_id, EvaluationSet.origin == SetOrigin.TEST_SPLIT)
            .order_by(EvaluationSet.id.desc())
            .limit(1)
        )

    def next_number(self, project_id: int, name: str) -> int:
        """The number of the next version under a name."""
        highest = self._session.scalar(
            select(func.max(EvaluationSet.number)).where(
                EvaluationSet.project_id == project_id, EvaluationSet.name == name
            )
        )
        return (highest or 0) + 1

    def lock(self, project_id: int) -> Project | None:
        """The project, and nobody else freezes its test split meanwhile (SQLite writes one at a time)."""
        return self._session.scalar(select(Project).where(Project.id == project_id).with_for_update())

    def decided(self, project_id: int, split: Split) -> list[Decided]:
        """The items of a split that have a decision with labels, in the order of their keys."""
        rows = self._session.execute(
            select(Item.id, Item.text_hash, Judgement.labels)
            .join(Judgement, Judgement.id == Item.decision_id)
            .where(Item.project_id == project_id, Item.split == split, Judgement.labels.is_not(None))
            .order_by(Item.id)
        )
        return [Decided(item_id, text_hash, labels or ()) for item_id, text_hash, labels in rows]

    def size_of_split(self, project_id: int, split: Split) -> Size:
        """Posts and characters of the items that `decided` gives."""
        return self._size(
            select(func.count(), func.sum(func.length(Item.text)))
            .join(Judgement, Judgement.id == Item.decision_id)
            .where(Item.project_id == project_id, Item.split == split, Judgement.labels.is_not(None))
        )

    def size_of_set(self, set_id: int) -> Size:
        """Posts and characters of a set."""
        return self._size(
            select(func.count(), func.sum(func.length(EvaluationRow.text))).where(
                EvaluationRow.set_id == set_id
            )
        )

    def _size(self, query: Select[int, int | None]) -> Size:
        posts, characters = self._session.execute(query).one()
        return Size(posts, int(characters or 0))

    def add_set(self, row: EvaluationSet) -> EvaluationSet:
        """Store a set without its posts."""
        self._session.add(row)
        self._session.flush()
        return row

    def copy_items(self, set_id: int, decided: Sequence[Decided]) -> None:
        """Add items to a set with the labels that stand for them."""
        for start in range(0, len(decided), _CHUNK):
            part = {one.item_id: one for one in decided[start : start + _CHUNK]}
            items = self._session.execute(
                select(Item.id, Item.external_id, Item.text, Item.text_hash)
                .where(Item.id.in_(part))
                .order_by(Item.id)
            )
            self._session.execute(
                insert(EvaluationRow),
                [
                    {
                        "set_id": set_id,
                        "item_id": item.id,
                        "external_id": item.external_id,
                        "text": item.text,
                        "text_hash": item.text_hash,
                        "labels": part[item.id].labels,
                        "positive": bool(part[item.id].labels),
                        "meta": {},
                    }
                    for item in items
                ],
            )

    def rows(self, set_id: int) -> SetRows:
        """A set's posts without their texts."""
        rows = self._session.execute(
            select(EvaluationRow.id, EvaluationRow.labels, EvaluationRow.positive)
            .where(EvaluationRow.set_id == set_id)
            .order_by(EvaluationRow.id)
        ).all()
        return SetRows(
            tuple(row.id for row in rows),
            tuple(row.labels for row in rows),
            np.array([row.positive for row in rows], dtype=bool),
        )

    def groups(self, set_id: int, group_by: str) -> dict[int, str]:
        """What a key of the metadata says of each post of a set; empty where it says nothing."""
        rows = self._session.execute(
            select(EvaluationRow.id, EvaluationRow.meta).where(EvaluationRow.set_id == set_id)
        )
        return {row.id: as_text(row.meta.get(group_by)).strip() for row in rows}

    def keys(self, set_id: int) -> dict[str, int]:
        """The rows of a set by the posts' ids in its file, which stay where the set is made anew."""
        rows = self._session.execute(
            select(EvaluationRow.external_id, EvaluationRow.id).where(EvaluationRow.set_id == set_id)
        )
        return {row.external_id: row.id for row in rows}

    def posts_of_set(self, set_id: int) -> Sequence[Any]:
        """All of a set's posts: external_id, text, labels, positive, meta, in the order of keys."""
        return self._session.execute(
            select(
                EvaluationRow.external_id,
                EvaluationRow.text,
                EvaluationRow.labels,
                EvaluationRow.positive,
                EvaluationRow.meta,
            )
            .where(EvaluationRow.set_id == set_id)
            .order_by(EvaluationRow.id)
        ).all()

    def add_posts(self, set_id: int, posts: Sequence[Mapping[str, Any]]) -> None:
        """Store a set's posts (columns of `EvaluationRow` but the set's)."""
        for start in range(0, len(posts), _CHUNK):
            self._session.execute(
                insert(EvaluationRow), [{"set_id": set_id, **one} for one in posts[start : start + _CHUNK]]
            )

    def made_from(self, set_id: int) -> EvaluationSet | None:
        """The set that was made from this version of another."""
        return self._session.scalar(
            select(EvaluationSet)
            .where(EvaluationSet.made_from_id == set_id)
            .order_by(EvaluationSet.id.desc())
            .limit(1)
        )

    def set_texts(self, set_id: int) -> Iterator[list[tuple[int, str]]]:
        """Keys and texts of a set's posts, in parts."""
        return self._texts(
            select(EvaluationRow.id, EvaluationRow.text)
            .where(EvaluationRow.set_id == set_id)
            .order_by(EvaluationRow.id)
        )

    def texts_as_written(self, evaluation_set: EvaluationSet) -> list[tuple[int, str]]:
        """Keys and texts of a set's posts; where it was made from another, the texts that they had there."""
        if evaluation_set.made_from_id is None:
            return [post for part in self.set_texts(evaluation_set.id) for post in part]
        there = aliased(EvaluationRow)
        rows = self._session.execute(
            select(EvaluationRow.id, there.text)
            .join(there, there.external_id == EvaluationRow.external_id)
            .where(EvaluationRow.set_id == evaluation_set.id, there.set_id == evaluation_set.made_from_id)
            .order_by(EvaluationRow.id)
        )
        return [(key, text) for key, text in rows]

    def validation_posts(self, project_id: int) -> Iterator[list[tuple[int, str, tuple[str, ...]]]]:
        """Keys, texts and decisions of the validation items that have a decision with labels, in parts.

        Without those that an imported set has, too: thresholds are chosen on these posts.
        """
        query = (
            select(Item.id, Item.text, Judgement.labels)
            .join(Judgement, Judgement.id == Item.decision_id)
            .where(
                Item.project_id == project_id,
                Item.split == Split.VALIDATION,
                Item.held_out.is_(False),
                Judgement.labels.is_not(None),
            )
            .order_by(Item.id)
        )
        result = self._session.execute(query.execution_options(yield_per=_CHUNK))
        for part in result.partitions():
            yield [(row[0], row[1], row[2] or ()) for row in part]

    def _texts(self, query: Select[int, str]) -> Iterator[list[tuple[int, str]]]:
        result = self._session.execute(query.execution_options(yield_per=_CHUNK))
        for part in result.partitions():
            yield [(row[0], row[1]) for row in part]

    # Policies

    def newest_policy(self, project_id: int) -> int | None:
        """The policy version that counts now."""
        return self._session.scalar(
            select(PolicyVersion.id)
            .where(PolicyVersion.project_id == project_id)
            .order_by(PolicyVersion.number.desc())
            .limit(1)
        )

    def names(self, policy_version_id: int) -> dict[str, str]:
        """A policy version's categories by code, in its order."""
        rows = self._session.execute(
            select(Category.code, Category.name)
            .where(Category.policy_version_id == policy_version_id)
            .order_by(Category.position)
        )
        return {row.code: row.name for row in rows}

    def names_of(self, evaluation_set: EvaluationSet) -> dict[str, str]:
        """What a set is judged on, with names: its policy's categories, or its own labels."""
        if evaluation_set.label_map is None:
            return self.names(evaluation_set.policy_version_id)
        rows = self.rows(evaluation_set.id)
        labels = (*evaluation_set.label_map.values(), *sorted({one for row in rows.labels for one in row}))
        return {label: human_name(label) for label in labels}

    # The teacher

    def teacher_answers(self, project_id: int, set_id: int) -> list[TeacherSaid]:
        """The answer that counts for each post of a set; posts are matched by their text."""
        rows = self._session.execute(
            select(
                EvaluationRow.id,
                TeacherAnswer.labels,
                TeacherRun.model,
                TeacherRun.policy_version_id,
                TeacherRun.id,
                TeacherAnswer.analysis,
                TeacherAnswer.harmful,
            )
            .join(Item, (Item.project_id == project_id) & (Item.text_hash == EvaluationRow.text_hash))
            .join(TeacherAnswer, TeacherAnswer.id == Item.answer_id)
            .join(TeacherRun, TeacherRun.id == TeacherAnswer.run_id)
            .where(EvaluationRow.set_id == set_id)
            .order_by(EvaluationRow.id)
        )
        return [TeacherSaid(*row) for row in rows]
