"""Training rows: read from parquet, rendered and tokenised, or refused by name."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.errors import LastingError
from training.policy import Policy
from training.prompt import Answer, Answers, Example, Form, PromptError, Renderer, forms_of

_READ_AT_ONCE = 4096


class DataError(LastingError):
    """A data file, or every row in it, cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One post with the answer to learn. `labels` are category codes; None means not known."""

    id: Any
    text: str | None
    labels: tuple[str, ...] | None = None
    analysis: str | None = None
    harmful: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not learned, and why."""

    id: Any
    reason: str


@dataclass(slots=True)
class Encoded:
    """What became of a file's rows. A row that is learned in two forms has two examples.

    `answers` are the labels of each example. `labels` counts the rows that are learned with each
    category, `without_labels` those with none.
    """

    examples: list[Example] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    answers: list[tuple[str, ...]] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    without_labels: int = 0
    rows_used: int = 0

    @property
    def learned_tokens(self) -> int:
        """Tokens that the loss counts."""
        return sum(len(example.answer) for example in self.examples)

    @property
    def reason_tokens(self) -> int | None:
        """Tokens of a reasoned answer, in the mean; None where none is learned."""
        lengths = [
            len(example.answer)
            for example, form in zip(self.examples, self.forms, strict=True)
            if form == "reasoned"
        ]
        return round(fmean(lengths)) if lengths else None


def read_rows(path: Path, *, labelled: bool) -> list[Row]:
    """Read a data file.

    Args:
        path: a parquet file with `id` and `text`; where labelled, also `labels`, and
            `analysis` and `harmful` where there are reasons.
        labelled: whether answers are needed.

    Raises:
        DataError: no such file, not parquet, or a column is missing.
    """
    wanted, known = (["id", "text", "labels"], ["analysis", "harmful"]) if labelled else (["id", "text"], [])
    return [row_of(record) for record in read_records(path, wanted, known)]


def read_records(path: Path, wanted: Sequence[str], known: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The lines of a data file, with the columns that are wanted and those of the known that it has.

    Raises:
        DataError: no such file, not parquet, or a wanted column is missing.
    """
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in wanted if name not in file.schema_arrow.names]
            if missing:
                raise DataError(f"{path.name} has no column {missing[0]!r}")
            columns = [*wanted, *(name for name in known if name in file.schema_arrow.names)]
            for batch in file.iter_batches(_READ_AT_ONCE, columns=columns):
                yield from batch.to_pylist()
    except FileNotFoundError as error:
        raise DataError(f"{path.name} is missing from the job's folder") from error
    except pa.ArrowInvalid as error:
        raise DataError(f"{path.name} is not a readable parquet file ({error})") from error


def row_of(record: dict[str, Any], answer: str = "") -> Row:
    """The row of a line; `answer` is what the names of its answer's columns begin with."""
    labels = record.get(f"{answer}labels")
    return Row(
        id=record["id"],
        text=record["text"],
        labels=None if labels is None else tuple(labels),
        analysis=record.get(f"{answer}analysis"),
        harmful=tuple(record.get(f"{answer}harmful") or ()),
    )


def encode(rows: Sequence[Row], renderer: Renderer, answers: Answers, max_length: int) -> Encoded:
    """Render and tokenise rows. A row that cannot be learned whole is refused; the rest go on."""
    encoded = Encoded()
    for row in rows:
        try:
            examples = [
                (form, example_of(row, form, renderer, max_length))
                for form in forms_of(row.analysis, answers)
            ]
        except (PromptError, DataError) as error:
            encoded.refused.append(Refusal(row.id, str(error)))
            continue
        encoded.rows_used += 1
        encoded.labels.update(set(row.labels or ()))
        encoded.without_labels += not row.labels
        for form, example in examples:
            encoded.examples.append(example)
            encoded.forms.append(form)
            encoded.answers.append(renderer.policy.in_order(row.labels or ()))
            encoded.ids.append(row.id)
    return encoded


def example_of(row: Row, form: Form, renderer: Renderer, max_length: int) -> Example:
    """Render and tokenise a row in one form.

    Raises:
        DataError: there is no text or no answer, or a label is not in the policy.
        PromptError: it does not fit, or there is no analysis to learn.
    """
    if row.text is None or not row.text.strip():
        raise DataError("the post has no text")
    if row.labels is None:
        raise DataError("the row has no labels, so there is nothing to learn")
    try:
        labels = renderer.policy.in_order(row.labels)
    except ValueError as error:
        raise DataError(str(error)) from error
    return renderer.example(row.text, form, Answer(labels, row.analysis, row.harmful), max_length)


def require_some(encoded: Encoded, name: str) -> None:
    """Refuse a file of which nothing can be learned.

    Raises:
        DataError: there is no example; the message gives the first row's reason.
    """
    if encoded.examples:
        return
    if not encoded.refused:
        raise DataError(f"{name} has no rows")
    first = encoded.refused[0]
    raise DataError(
        f"none of the {len(encoded.refused)} rows of {name} can be learned; row {first.id!r}: {first.reason}"
    )


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The examples of each step of one epoch, by index; the same for the same seed and epoch.

    A plain shuffle: packed rows have no padding, so sorting by length would save nothing and
    only make batches less alike.
    """
    order = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]


def known_labels(rows: Sequence[Row], policy: Policy) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Index and labels of the rows whose labels are known and in the policy."""
    for index, row in enumerate(rows):
        if row.labels is not None and set(row.labels) <= set(policy.codes):
            yield index, row.labels
