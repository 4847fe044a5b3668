"""Pairs for the preference step: people's answer over the teacher's wrong one for the same post."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.data import DataError, Refusal, Row, example_of, read_records, row_of
from training.prompt import Answers, Example, Form, PromptError, Renderer, forms_of

_REJECTED = "rejected_"
_WANTED = ("id", "text", "labels", f"{_REJECTED}labels")
_KNOWN = ("analysis", "harmful", f"{_REJECTED}analysis", f"{_REJECTED}harmful")


@dataclass(frozen=True, slots=True)
class PairRow:
    """One post with the answer to prefer and the one to reject, each as a training row."""

    chosen: Row
    rejected: Row


@dataclass(frozen=True, slots=True)
class Pair:
    """The same in tokens: two examples that differ in their answers only."""

    chosen: Example
    rejected: Example


@dataclass(slots=True)
class EncodedPairs:
    """What became of a file's pairs. One that is learned in two forms is there twice.

    Attributes:
        ids: the row's id of each pair.
        same: how often a pair was left out of a form in which its answers read the same.
        rows_used: rows with at least one pair.
    """

    pairs: list[Pair] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    same: int = 0
    rows_used: int = 0

    @property
    def examples(self) -> list[Example]:
        """Both sides of each pair."""
        return [example for pair in self.pairs for example in (pair.chosen, pair.rejected)]

    @property
    def learned_tokens(self) -> int:
        """Tokens of both sides' answers."""
        return sum(len(example.answer) for example in self.examples)


def read_pairs(path: Path) -> list[PairRow]:
    """Read a file of pairs.

    Raises:
        DataError: no such file, not parquet, or a column is missing.
    """
    return [
        PairRow(row_of(record), row_of(record, _REJECTED)) for record in read_records(path, _WANTED, _KNOWN)
    ]


def encode_pairs(
    rows: Sequence[PairRow], renderer: Renderer, answers: Answers, max_length: int
) -> EncodedPairs:
    """Render and tokenise pairs in the forms that the student learns; one that cannot be is refused."""
    encoded = EncodedPairs()
    for row in rows:
        try:
            found = [_pair(row, form, renderer, max_length) for form in _forms(row, answers)]
        except (PromptError, DataError) as error:
            encoded.refused.append(Refusal(row.chosen.id, str(error)))
            continue
        pairs = [pair for pair in found if pair.chosen.answer != pair.rejected.answer]
        encoded.same += len(found) - len(pairs)
        encoded.rows_used += bool(pairs)
        encoded.pairs += pairs
        encoded.ids += [row.chosen.id] * len(pairs)
    return encoded


def require_pairs(encoded: EncodedPairs, name: str) -> None:
    """Refuse a preference step that has nothing to learn.

    Raises:
        DataError: there is no pair; the message says what became of those in the file.
    """
    if encoded.pairs:
        return
    reasons = [f"{encoded.same} read the same on both sides"] if encoded.same else []
    if encoded.refused:
        first = encoded.refused[0]
        reasons.append(f"{len(encoded.refused)} cannot be learned; row {first.id!r}: {first.reason}")
    raise DataError(
        f"{name} has no pair to learn a preference from ({'; '.join(reasons) or 'it has no rows'}); "
        "switch the preference step off, or give it corrected answers"
    )


def _forms(row: PairRow, answers: Answers) -> tuple[Form, ...]:
    """The forms that both sides can take: without a reason on either there is the direct one only."""
    reasons = (row.chosen.analysis or "").strip() and (row.rejected.analysis or "").strip()
    return forms_of(row.chosen.analysis if reasons else None, answers)


def _pair(row: PairRow, form: Form, renderer: Renderer, max_length: int) -> Pair:
    chosen, rejected = (example_of(side, form, renderer, max_length) for side in (row.chosen, row.rejected))
    if chosen.post != rejected.post:
        # A long post is cut to what its answer leaves room for; both answers must follow the same.
        longest = max(len(chosen.answer), len(rejected.answer))
        chosen, rejected = (
            example_of(side, form, renderer, max_length - longest + len(example.answer))
            for side, example in ((row.chosen, chosen), (row.rejected, rejected))
        )
    return Pair(chosen, rejected)
