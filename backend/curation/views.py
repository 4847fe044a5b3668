"""What the curation room hands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from backend.db.models.content import Agreement, Split
from backend.db.models.curation import DatasetVersion, Handling
from backend.db.models.review import Source, Verdict

NONE = "none"
"""In a filter: items whose decision names no category."""

USE_UNVERIFIED = "Also use answers that nobody has decided on"
USE_UNANSWERED = "Also use posts with imported labels that the teacher has not answered"
"""What the two switches of a dataset version are called, on the page and in hints."""


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items to list; what is None is not asked for.

    Attributes:
        search: a piece of the text or of the id, in any case.
        category: a category code that the decision names, or `NONE`.
        unreviewed: True for items that nobody judged here, False for those that somebody did.
    """

    search: str | None = None
    split: Split | None = None
    category: str | None = None
    verdict: Verdict | None = None
    agreement: Agreement | None = None
    source: str | None = None
    unreviewed: bool | None = None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One line of the list. `labels` is the decision's, None where there is none."""

    id: int
    external_id: str
    excerpt: str
    labels: tuple[str, ...] | None
    teacher_labels: tuple[str, ...] | None
    agreement: Agreement
    verdict: Verdict | None
    split: Split
    source: str


@dataclass(frozen=True, slots=True)
class ItemPage:
    """One page of the list; `next_after` is None on the last one.

    `total` is said on the first page only; None there means too many to count.
    """

    rows: list[ItemRow]
    next_after: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class ImportedFrom:
    """The file that brought an item."""

    file_name: str
    person: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AnswerEntry:
    """One answer of a teacher, as it came where it could not be read."""

    id: int
    run_id: int
    model: str
    round: int
    labels: tuple[str, ...] | None
    analysis: str
    harmful: tuple[str, ...]
    raw: str
    error: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class JudgementEntry:
    """One judgement; `withdrawn` where it was taken back, `stands` for the decision."""

    id: int
    source: Source
    person: str
    verdict: Verdict | None
    labels: tuple[str, ...] | None
    reason: str | None
    harmful: tuple[str, ...]
    policy_version: int
    withdrawn: bool
    stands: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """What a dataset version teaches of an item."""

    version_id: int
    number: int
    handling: Handling
    split: Split
    labels: tuple[str, ...]
    origin: str
    reasoned: bool


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run whose dataset version has the item."""

    run_id: int
    number: int
    version_number: int


@dataclass(frozen=True, slots=True)
class ItemHistory:
    """Everything that happened to an item, oldest first; `waits` is whether it was sent back to review."""

    id: int
    external_id: str
    text: str
    split: Split
    source: str
    meta: dict[str, Any]
    held_out: bool
    waits: bool
    agreement: Agreement
    created_at: datetime
    imported: ImportedFrom | None
    answers: list[AnswerEntry]
    judgements: list[JudgementEntry]
    versions: list[VersionEntry]
    runs: list[RunEntry]


@dataclass(slots=True)
class HandlingPreview:
    """What a handling would give.

    Attributes:
        rows: by split; train and validation.
        reasoned: rows that have a reason; the others are learned in the direct form only.
        labels: rows by category code; a row with two categories counts in both.
        none: rows that teach that no rule is broken.
        left_out: items that fall out, by why.
        warnings: what is odd about it, in words.
    """

    rows: dict[Split, int] = field(default_factory=lambda: {Split.TRAIN: 0, Split.VALIDATION: 0})
    reasoned: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    none: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values())


@dataclass(frozen=True, slots=True)
class Built:
    """A dataset version; `created` is False where nothing has changed since the newest one."""

    version: DatasetVersion
    created: bool


@dataclass(frozen=True, slots=True)
class TaughtRow:
    """One row of a version. `origin` says whose labels these are: teacher, recheck or people."""

    item_id: int
    external_id: str
    excerpt: str
    split: Split
    labels: tuple[str, ...]
    origin: str
    reasoned: bool


@dataclass(frozen=True, slots=True)
class TaughtPage:
    """One page of a version's rows."""

    rows: list[TaughtRow]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the rendered example; what is learned is a token, or the few of one character.

    Its text is as untrusted as the post: escape it before showing.
    """

    text: str
    learned: bool


Format = Literal["jsonl", "csv", "parquet"]
