"""A first look through a whole file, before anything is stored: its size and its labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from backend.errors import InvalidInputError
from backend.intake.cells import CellError
from backend.intake.columns import ColumnMapping
from backend.intake.labels import MOST_LABELS, Vocabulary, answer_labels, categories_of, guess_none, slug
from backend.intake.raw import Broken, Row
from backend.intake.readers import Table
from backend.intake.reports import Rejected
from backend.intake.rows import read_labels
from training.policy import Category

T = TypeVar("T")


@dataclass(slots=True)
class Scan:
    """How many rows there are, and how often each label occurs in them."""

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    answer_labels: Counter[str] = field(default_factory=Counter)

    @property
    def found(self) -> Counter[str]:
        """People's labels; the teacher's where people gave none."""
        return self.labels or self.answer_labels


def scan(rows: Iterable[Row | Broken], mapping: ColumnMapping) -> Scan:
    """Look through rows.

    Raises:
        InvalidInputError: a label column holds far too many different labels to be one.
    """
    found = Scan()
    for row in rows:
        found.rows += 1
        if isinstance(row, Broken):
            continue
        try:
            found.labels.update(read_labels(row, mapping) or ())
            if mapping.answer_labels is not None:
                found.answer_labels.update(answer_labels(row.cells.get(mapping.answer_labels)))
        except CellError:
            continue
        if len(found.labels) > MOST_LABELS:
            raise _too_many(mapping.labels)
        if len(found.answer_labels) > MOST_LABELS:
            # A teacher's prose is no reason to refuse the posts: what names no category is
            # kept as an unreadable answer.
            found.answer_labels.clear()
    return found


def parse(
    table: Table, mapping: ColumnMapping, read: Callable[[Row, ColumnMapping], T]
) -> Iterator[T | Rejected]:
    """Each row as what `read` makes of it, or as rejected with the reason."""
    for row in table.read():
        if isinstance(row, Broken):
            yield Rejected(row.line, row.why)
            continue
        try:
            yield read(row, mapping)
        except CellError as error:
            yield Rejected(row.line, str(error))


@dataclass(frozen=True, slots=True)
class NoneLabel:
    """The label that means "no violation", and whether it was guessed."""

    label: str | None
    guessed: bool


def choose_none(
    given: str | None, stored: str | None, labels: Iterable[str], *, known: Vocabulary | None
) -> NoneLabel:
    """The label that means "no violation": as given, as the project has it, or as guessed.

    Args:
        known: the project's policy; a label that it knows is a category and never guessed.

    Raises:
        InvalidInputError: a new project's file does not have the label that was given.
    """
    labels = sorted(labels)
    if given is not None:
        if known is None and labels and slug(given) not in map(slug, labels):
            raise InvalidInputError(
                f"No row has the label {given!r}.", f"The labels are: {', '.join(labels[:50])}."
            )
        return NoneLabel(given, False)
    if stored is not None and slug(stored) in map(slug, labels):
        return NoneLabel(stored, False)
    guess = guess_none(label for label in labels if known is None or not known.knows(label))
    return NoneLabel(stored, False) if guess is None else NoneLabel(guess, True)


def first_categories(found: Scan, none: NoneLabel) -> list[Category]:
    """The categories of a new project's first policy.

    Raises:
        InvalidInputError: there is no label to draw them from.
    """
    categories = categories_of(found.found, none_label=none.label)
    if categories:
        return categories
    seen = (
        f"Its only label is {none.label!r}, which means no violation" if found.found else "It has no labels"
    )
    raise InvalidInputError(
        f"{seen}, so no policy can be drawn from the file.",
        "Name the label column with --labels, or make the project from a policy first: "
        "overrule policy import FILE --project NAME.",
    )


def _too_many(columns: tuple[str, ...]) -> InvalidInputError:
    return InvalidInputError(
        f"{' and '.join(map(repr, columns))} holds more than {MOST_LABELS} different labels: "
        "that is no list of categories.",
        "Name another column with --labels, or say what separates several labels with --separator.",
    )
