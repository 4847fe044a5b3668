"""Which column is what: a mapping, and a guess at it from names and contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from backend.errors import InvalidInputError
from backend.intake.cells import as_text
from backend.intake.labels import LabelMode, guess_separator, says_yes_or_no, slug
from backend.intake.splits import given_split


class Purpose(StrEnum):
    """What a file is imported as."""

    POSTS = "posts"
    ANSWERS = "answers"
    SET = "evaluation-set"


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column is what. Columns that are not named here are kept as metadata.

    Args:
        labels: one column, or one 0/1 column per category with `label_mode` "columns".
        separator: between several labels in one cell, with `label_mode` "separated".
        recheck_analysis: with its two neighbours the answer given when asked once more.
        group: by which an evaluation set's figures are also given; it stays in the metadata, too.
    """

    id: str | None = None
    text: str | None = None
    labels: tuple[str, ...] = ()
    label_mode: LabelMode = LabelMode.SINGLE
    separator: str | None = None
    reason: str | None = None
    split: str | None = None
    source: str | None = None
    answer_analysis: str | None = None
    answer_harmful: str | None = None
    answer_labels: str | None = None
    answer_model: str | None = None
    recheck_analysis: str | None = None
    recheck_harmful: str | None = None
    recheck_labels: str | None = None
    group: str | None = None

    @property
    def used(self) -> frozenset[str]:
        """All columns that mean something."""
        single = (getattr(self, name) for name in _SINGLE)
        return frozenset((*(column for column in single if column is not None), *self.labels))

    @property
    def has_answers(self) -> bool:
        """Whether the rows bring a teacher's answers."""
        return self.answer_labels is not None

    def with_(self, **changes: Any) -> Self:
        """The mapping with other columns; None leaves what is there."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def check(self, columns: Sequence[str], purpose: Purpose) -> None:
        """Refuse a mapping that names missing columns or lacks what it needs.

        Raises:
            InvalidInputError: with the file's columns in the hint.
        """
        hint = f"The columns are: {', '.join(columns)}."
        for column in sorted(self.used - set(columns)):
            raise InvalidInputError(f"The file has no column {column!r}.", hint)
        if purpose is Purpose.ANSWERS:
            if self.answer_labels is None:
                raise InvalidInputError(
                    "None of the columns holds the teacher's labels.",
                    f"Choose them, on the command line with --labels. {hint}",
                )
            if self.id is None and self.text is None:
                raise InvalidInputError(
                    "None of the columns says which post is answered.",
                    f"Say which holds its id or its text. {hint}",
                )
            return
        if self.text is None:
            raise InvalidInputError(
                "The file has no column with the posts' text.",
                f"Choose it, on the command line with --text. {hint}",
            )
        if purpose is Purpose.SET and not self.labels:
            raise InvalidInputError(
                "None of the columns holds labels, which an evaluation set needs.",
                f"Choose them, on the command line with --labels. {hint}",
            )


_SINGLE = tuple(
    field.name for field in fields(ColumnMapping) if field.name not in ("labels", "label_mode", "separator")
)

_NAMES: dict[str, tuple[str, ...]] = {
    "text": (
        "text", "post", "post_text", "content", "body", "message", "comment", "comment_text", "tweet",
        "tweet_text", "sentence", "utterance", "review", "prompt", "input", "question", "title_text", "txt",
    ),
    "id": ("id", "post_id", "item_id", "text_id", "comment_id", "tweet_id", "message_id", "external_id",
           "uid", "uuid", "guid", "key", "case_id", "index"),
    "labels": ("labels", "label", "gold", "gold_label", "gold_labels", "categories", "category", "classes",
               "class", "true_label", "ground_truth", "annotation", "violations", "violation", "tags", "tag",
               "label_gold", "target_label"),
    "reason": ("reason", "reasons", "rationale", "explanation", "justification", "human_reason",
               "gold_reason", "implied_statement", "note", "notes"),
    "split": ("split", "set", "fold", "partition", "subset"),
    "source": ("source", "platform", "channel", "origin", "site", "network"),
    "answer_analysis": ("analysis", "teacher_analysis", "answer_analysis", "analysis_process",
                        "teacher_reason", "teacher_explanation"),
    "answer_harmful": ("harmful", "teacher_harmful", "answer_harmful", "harmful_information", "harmful_info",
                       "harmful_spans", "teacher_spans", "spans"),
    "answer_labels": ("teacher_labels", "teacher_label", "answer_labels", "answer_label",
                      "classification_result", "classification", "predicted_labels", "predicted_label",
                      "prediction", "predicted", "model_label", "model_labels", "llm_label", "llm_labels"),
    "answer_model": ("teacher_model", "answer_model", "model", "model_name", "teacher"),
    "recheck_analysis": ("recheck_analysis",),
    "recheck_harmful": ("recheck_harmful",),
    "recheck_labels": ("recheck_labels", "recheck_label"),
    "group": ("functionality", "type", "kind"),
}  # fmt: skip

# A category column of ones and zeros stands beside others; one alone is found by its name.
_FEWEST_COLUMNS = 2

FEWEST_GROUPS, MOST_GROUPS = 2, 60
"""With fewer or more different values a column divides a set into nothing that people would read."""


def guess_mapping(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], purpose: Purpose = Purpose.POSTS
) -> ColumnMapping:
    """Guess which column is what from names first, then from what the first rows hold."""
    left = list(columns)

    def take(role: str) -> str | None:
        by_name = {slug(column): column for column in reversed(left)}
        found = next((by_name[name] for name in _NAMES[role] if name in by_name), None)
        if found is not None:
            left.remove(found)
        return found

    text = take("text")
    identity = _unique(take("id"), rows, left)
    answers = {role: take(role) for role in _NAMES if role.startswith(("answer_", "recheck_"))}
    labels: tuple[str, ...] = ()
    if purpose is Purpose.ANSWERS:
        # A file of answers calls the teacher's labels just that: labels.
        answers["answer_labels"] = answers["answer_labels"] or take("labels")
    elif (named := take("labels")) is not None:
        labels = (named,)
    split = _splits(take("split"), rows, left)
    found = ColumnMapping(id=identity, text=text, reason=take("reason"), split=split, source=take("source"))
    if answers["answer_labels"] is not None:
        found = found.with_(**answers)
    if text is None and purpose is not Purpose.ANSWERS:
        found = found.with_(text=_longest(columns, rows, found.used | set(labels)))
    if purpose is Purpose.SET:
        found = found.with_(group=_groups(take("group"), rows))
    if not labels and purpose is not Purpose.ANSWERS:
        labels = _yes_no_columns(columns, rows, found.used)
    return with_labels(found, labels or None, rows)


def with_labels(
    mapping: ColumnMapping,
    labels: tuple[str, ...] | None,
    rows: Sequence[Mapping[str, Any]],
    *,
    separator: str | None = None,
) -> ColumnMapping:
    """The mapping with these label columns, and how they write labels read off the rows.

    Args:
        labels: the columns; None keeps the mapping's.
        separator: where a person says it; otherwise it is guessed.
    """
    labels = labels or mapping.labels
    mode, guessed = _mode(labels, rows)
    if separator is not None:
        mode, guessed = LabelMode.SEPARATED, separator
    return replace(mapping, labels=labels, label_mode=mode, separator=guessed)


def _mode(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[LabelMode, str | None]:
    cells = [row.get(column) for row in rows for column in columns]
    if len(columns) > 1 and all(says_yes_or_no(cell) for cell in cells):
        return LabelMode.COLUMNS, None
    texts = [text for cell in cells if (text := as_text(cell).strip())]
    if texts and all(text.startswith("[") and text.endswith("]") for text in texts):
        return LabelMode.JSON, None
    separator = guess_separator(texts)
    return (LabelMode.SEPARATED if separator else LabelMode.SINGLE), separator


def _unique(column: str | None, rows: Sequence[Mapping[str, Any]], left: list[str]) -> str | None:
    """An id column by name is one only where nearly every row has its own."""
    if column is None:
        return None
    found = [text for row in rows if (text := as_text(row.get(column)).strip())]
    if rows and len(set(found)) * 2 < len(rows):
        left.append(column)
        return None
    return column


def _splits(column: str | None, rows: Sequence[Mapping[str, Any]], left: list[str]) -> str | None:
    """A split column by name is one only where it holds nothing but words for splits."""
    if column is None:
        return None
    words = {as_text(row.get(column)).strip() for row in rows} - {""}
    if not words or any(given_split(word) is None for word in words):
        left.append(column)
        return None
    return column


def _groups(column: str | None, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """A column by which posts can be told apart, by name, is one only where it makes a few groups."""
    if column is None:
        return None
    names = {as_text(row.get(column)).strip() for row in rows} - {""}
    return column if FEWEST_GROUPS <= len(names) <= MOST_GROUPS else None


def _longest(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], used: frozenset[str]) -> str | None:
    """The column of free text where no name tells: long on average, and hardly ever repeated."""
    best, most = None, 20.0
    for column in columns:
        if column in used or not rows:
            continue
        texts = [as_text(row.get(column)) for row in rows]
        mean = sum(map(len, texts)) / len(texts)
        if mean > most and len(set(texts)) * 2 > len(texts):
            best, most = column, mean
    return best


def _yes_no_columns(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], used: frozenset[str]
) -> tuple[str, ...]:
    found = tuple(
        column
        for column in columns
        if column not in used
        and rows
        and all(says_yes_or_no(row.get(column)) for row in rows)
        and any(as_text(row.get(column)).strip() for row in rows)
    )
    return found if len(found) >= _FEWEST_COLUMNS else ()
