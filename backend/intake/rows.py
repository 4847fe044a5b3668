"""A file's rows as posts and answers: values in, values out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.db.models.content import Split
from backend.intake.cells import CellError, as_text, check, plain
from backend.intake.columns import ColumnMapping
from backend.intake.labels import LabelMode, answer_labels, cell_labels, column_labels
from backend.intake.raw import Row
from backend.intake.splits import given_split
from backend.text import text_hash

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Round:
    """What a teacher said in one round; `labels` as written, None where there is nothing to read."""

    labels: tuple[str, ...] | None
    analysis: str
    harmful: tuple[str, ...]
    raw: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A teacher's answer to one post, in one or two rounds."""

    model: str | None
    rounds: tuple[Round, ...]


@dataclass(frozen=True, slots=True)
class Post:
    """One usable row.

    Args:
        external_id: as the file names it; None where it does not.
        labels: as the file writes them; None where they are not known.
        meta: the columns that mean nothing to us, and the one that groups posts.
    """

    line: int
    external_id: str | None
    text: str
    text_hash: str
    labels: tuple[str, ...] | None = None
    reason: str | None = None
    split: Split | None = None
    source: str = ""
    meta: dict[str, Any] | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """One usable row of a file of answers; it names the post by id, by text, or by both."""

    line: int
    external_id: str | None
    text_hash: str | None
    answer: Answer


def read_post(row: Row, mapping: ColumnMapping) -> Post:
    """A row as a post.

    Raises:
        CellError: it cannot be used; the message says why.
    """
    _check(row)
    text = _text(row, mapping)
    if text is None:
        raise CellError("the text is empty")
    return Post(
        line=row.line,
        external_id=_short(row, mapping.id),
        text=text,
        text_hash=text_hash(text),
        labels=read_labels(row, mapping),
        reason=_optional(row, mapping.reason),
        split=_split(row, mapping),
        source=_short(row, mapping.source) or "",
        meta=_meta(row, mapping),
        answer=_answer(row, mapping) if mapping.has_answers else None,
    )


def read_answer(row: Row, mapping: ColumnMapping) -> Answered:
    """A row as a teacher's answer to a post that the project has.

    Raises:
        CellError: it cannot be used; the message says why.
    """
    _check(row)
    external_id, text = _short(row, mapping.id), _text(row, mapping)
    if external_id is None and text is None:
        raise CellError("it says neither the post's id nor its text")
    answer = _answer(row, mapping)
    if answer is None:
        raise CellError("it holds no answer")
    return Answered(row.line, external_id, text_hash(text) if text is not None else None, answer)


def _check(row: Row) -> None:
    for column, cell in row.cells.items():
        check("the name of a column", column)
        check(column, cell)


def _text(row: Row, mapping: ColumnMapping) -> str | None:
    if mapping.text is None:
        return None
    cell = row.cells.get(mapping.text)
    if isinstance(cell, (dict, list)):
        raise CellError("the text is a list or an object")
    text = as_text(cell)
    return text if text.strip() else None


def _optional(row: Row, column: str | None) -> str | None:
    if column is None:
        return None
    return as_text(row.cells.get(column)).strip() or None


def _short(row: Row, column: str | None) -> str | None:
    value = _optional(row, column)
    if value is not None and len(value) > _LONGEST_NAME:
        raise CellError(f"{column} has {len(value)} characters; at most {_LONGEST_NAME} fit")
    return value


def read_labels(row: Row, mapping: ColumnMapping) -> tuple[str, ...] | None:
    """A row's labels as the file writes them; None where they are not known.

    Raises:
        CellError: a cell does not hold what it should.
    """
    if mapping.label_mode is LabelMode.COLUMNS:
        return column_labels((column, row.cells.get(column)) for column in mapping.labels)
    found = [
        cell_labels(row.cells.get(name), mapping.label_mode, mapping.separator) for name in mapping.labels
    ]
    known = [labels for labels in found if labels is not None]
    if not known:
        return None
    return tuple(dict.fromkeys(label for labels in known for label in labels))


def _split(row: Row, mapping: ColumnMapping) -> Split | None:
    word = _optional(row, mapping.split)
    if word is None:
        return None
    split = given_split(word)
    if split is None:
        raise CellError(f"the split {word[:40]!r} is not train, validation or test")
    return split


def _meta(row: Row, mapping: ColumnMapping) -> dict[str, Any]:
    used = mapping.used - {mapping.group}
    return {
        column: value
        for column, cell in row.cells.items()
        if column not in used and (value := plain(cell)) not in (None, "")
    }


def _answer(row: Row, mapping: ColumnMapping) -> Answer | None:
    first = _round(row, mapping.answer_labels, mapping.answer_analysis, mapping.answer_harmful)
    if first is None:
        return None
    again = _round(row, mapping.recheck_labels, mapping.recheck_analysis, mapping.recheck_harmful)
    model = _short(row, mapping.answer_model)
    return Answer(model, (first,) if again is None else (first, again))


def _round(row: Row, labels: str | None, analysis: str | None, harmful: str | None) -> Round | None:
    """One round of an answer; None where all its cells are empty: it was not asked."""
    cells = {column: row.cells.get(column) for column in (labels, analysis, harmful) if column is not None}
    if all(as_text(cell).strip() == "" for cell in cells.values()):
        return None
    said, error = None, None
    try:
        said = answer_labels(cells.get(labels) if labels else None)
    except CellError as problem:
        error = str(problem)
    return Round(
        labels=said,
        analysis=as_text(cells.get(analysis) if analysis else None).strip(),
        harmful=read_spans(cells.get(harmful) if harmful else None),
        raw=json.dumps({column: plain(cell) for column, cell in cells.items()}, ensure_ascii=False),
        error=error,
    )


def read_spans(cell: Any) -> tuple[str, ...]:
    """The spans that a teacher quoted: a list, a JSON list, or text with " | " between them."""
    values: Sequence[Any]
    if isinstance(cell, (list, tuple)):
        values = cell
    else:
        text = as_text(cell).strip()
        parsed = _list(text)
        values = parsed if parsed is not None else text.split(" | ")
    spans = (as_text(one).strip().strip('"“”').strip() for one in values)
    return tuple(dict.fromkeys(span for span in spans if span and span.lower() not in ("none", "n/a", "-")))


def _list(text: str) -> list[Any] | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None
