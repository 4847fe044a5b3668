"""What became of a file's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.db.models.content import Split
from backend.intake.columns import ColumnMapping

MOST_REJECTED = 1_000
"""So many rejected rows are told one by one; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that could not be used.

    Args:
        line: the line at which it starts, counted from 1; the row of a sheet; the record's
            number in Parquet.
    """

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of a file, and what was guessed from it.

    Args:
        rows: at most twenty rows, as text by column.
        labels: how often each label occurs in what was looked at.
        none_label: the label that probably means "no violation".
        problems: what stands in the way, or will be left out, in sentences.
    """

    format: str
    encoding: str | None
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    mapping: ColumnMapping
    labels: Mapping[str, int]
    none_label: str | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """What became of a teacher's answers.

    Args:
        updated: answers that differ from an earlier import's and now count instead of them.
        invalid: of those added or updated, answers that could not be read, kept as they came.
        rechecked: of those added or updated, answers with a second round.
        unknown: answers to posts that the project does not have; they are among the rejected.
    """

    project_id: int
    rows: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    invalid: int = 0
    rechecked: int = 0
    unknown: int = 0
    rejected_count: int = 0
    rejected: tuple[Rejected, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the import added anything."""
        return self.added + self.updated > 0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a file of posts.

    Args:
        rows: rows in the file.
        added: new items, and `splits` where they went.
        updated: known items that got a new gold label or reason.
        unchanged: known items with nothing new.
        duplicates: rows whose post is that of another row or item.
        conflicting: of the duplicates, those with another label than what stands.
        split_kept: known items for which the file gives another split; an item keeps its own.
        held_out: new items that occur in an evaluation set and are kept out of training.
        labelled: gold labels that are new, whether the item is or not.
        rejected_count: rows that were left out; `rejected` tells the first of them.
        unknown_labels: labels that the policy does not know, in the rejected rows.
    """

    project_id: int
    project: str
    project_created: bool
    file_name: str
    format: str
    encoding: str | None
    mapping: ColumnMapping
    policy_version: int
    rows: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    conflicting: int = 0
    split_kept: int = 0
    held_out: int = 0
    labelled: int = 0
    splits: Mapping[Split, int] = field(default_factory=dict)
    rejected_count: int = 0
    rejected: tuple[Rejected, ...] = ()
    none_label: str | None = None
    none_guessed: bool = False
    new_categories: tuple[str, ...] = ()
    unknown_labels: Mapping[str, int] = field(default_factory=dict)
    answers: AnswerReport | None = None

    @property
    def changed(self) -> bool:
        """Whether the import added anything."""
        return self.added + self.labelled > 0 or (self.answers is not None and self.answers.changed)


@dataclass(frozen=True, slots=True)
class SetReport:
    """What became of an evaluation set.

    Args:
        created: whether a version was made; a file with nothing new makes none.
        positive: rows that are a violation.
        held_out: the project's items that occur in the set and are kept out of training.
        updated: whether only what is known of the set changed: its groups or its language.
        positive_labels: in a set that knows only yes and no, the labels that mean yes.
        label_map: in a set with labels of its own, the label that stands for each of the policy's codes.
        unmapped: its own labels that stand for none, on which no model can be judged.
        group_by: the column by which figures are also given; `groups` counts its values.
        not_grouped: a column that makes far too many groups, or only one.
    """

    project_id: int
    set_id: int
    name: str
    number: int
    created: bool
    mapping: ColumnMapping
    rows: int = 0
    positive: int = 0
    duplicates: int = 0
    held_out: int = 0
    rejected_count: int = 0
    rejected: tuple[Rejected, ...] = ()
    unknown_labels: Mapping[str, int] = field(default_factory=dict)
    positive_labels: tuple[str, ...] | None = None
    none_label: str | None = None
    none_guessed: bool = False
    updated: bool = False
    label_map: Mapping[str, str] | None = None
    unmapped: tuple[str, ...] = ()
    group_by: str | None = None
    groups: int = 0
    not_grouped: str | None = None
    language: str | None = None

    @property
    def changed(self) -> bool:
        """Whether the import added or changed anything."""
        return self.created or self.updated

    @property
    def one_sided(self) -> str | None:
        """What a set cannot show that has only violations, or none; None where it has both."""
        if self.rows and self.positive == self.rows:
            return "Every post of the set breaks a rule, so it cannot show false alarms."
        if self.rows and not self.positive:
            return "No post of the set breaks a rule, so it can show false alarms only."
        return None
