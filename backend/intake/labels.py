"""Labels as files write them, and the category codes that they become."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from backend.errors import InvalidInputError
from backend.intake.cells import CellError, as_text
from training.policy import NONE_NAME, Category, Policy

SEPARATORS = (";", "|", ",")
MOST_LABELS = 200
"""More different labels than this are no categories; the column is something else."""

_LONGEST_CODE = 63
_LONGEST_NAME = 200

_NONE_WORDS = (
    "none",
    "no_violation",
    "normal",
    "neutral",
    "safe",
    "ok",
    "okay",
    "clean",
    "harmless",
    "benign",
    "acceptable",
    "allowed",
    "nothing",
    "other_none",
    "no",
    "false",
    "0",
)
_NONE_BEGINNINGS = ("not_", "non_", "no_")
_YES = frozenset({"1", "true", "yes", "y", "t", "x"})
_NO = frozenset({"0", "false", "no", "n", "f", "-"})


class LabelMode(StrEnum):
    """How a file writes an item's labels."""

    SINGLE = "single"
    SEPARATED = "separated"
    JSON = "json"
    COLUMNS = "columns"


class UnknownLabelError(CellError):
    """A row names labels that the policy does not know."""

    def __init__(self, labels: Sequence[str]) -> None:
        named = ", ".join(repr(label[:60]) for label in labels)
        super().__init__(f"the policy does not know the label {named}")
        self.labels = tuple(labels)


def slug(label: str) -> str:
    """A label as a category code: lower case, underscores, at most 63 characters.

    A label in another script has no such form and gets a code from its hash.
    """
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    code = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:_LONGEST_CODE].rstrip("_")
    if code or not label.strip():
        return code
    return f"label_{hashlib.sha256(label.strip().casefold().encode()).hexdigest()[:8]}"


def human_name(label: str) -> str:
    """A label as people read it: "implicit_hate" becomes "Implicit hate"."""
    name = " ".join(re.sub(r"[_,]+", " ", label).split())[:_LONGEST_NAME]
    return name[:1].upper() + name[1:]


def cell_labels(cell: Any, mode: LabelMode, separator: str | None) -> tuple[str, ...] | None:
    """The labels in one cell; None where the cell is empty: that is "not known".

    An empty list is known: no label fits.

    Raises:
        CellError: the cell should hold a list and does not.
    """
    if isinstance(cell, (list, tuple)):
        return _listed(cell)
    text = as_text(cell).strip()
    if not text:
        return None
    if mode is LabelMode.JSON or (text.startswith("[") and text.endswith("]")):
        return _listed(_parsed(text))
    if mode is LabelMode.SEPARATED and separator:
        parts = [part.strip() for part in text.split(separator)]
        return tuple(dict.fromkeys(part for part in parts if part)) or None
    return (text,)


def answer_labels(cell: Any) -> tuple[str, ...]:
    """The labels in a teacher's answer, however they are written.

    Raises:
        CellError: there is none to read.
    """
    listed = cell_labels(cell, LabelMode.SINGLE, None)
    if listed is None:
        raise CellError("the answer names no label")
    if isinstance(cell, str) and not cell.strip().startswith("["):
        parts = [part.strip(" .\"'*`") for part in re.split(r"[;|,\n]", cell)]
        return tuple(dict.fromkeys(part for part in parts if part))
    return listed


def column_labels(cells: Iterable[tuple[str, Any]]) -> tuple[str, ...] | None:
    """The labels of a row with one 0/1 column per category; None where all cells are empty.

    Raises:
        CellError: a cell says neither yes nor no.
    """
    found: list[str] = []
    known = False
    for column, cell in cells:
        said = as_text(cell).strip().lower().removesuffix(".0")
        if not said:
            continue
        if said not in _YES and said not in _NO:
            raise CellError(f"{column} says {said[:40]!r}, which is neither 0 nor 1")
        known = True
        if said in _YES:
            found.append(column)
    return tuple(found) if known else None


def says_yes_or_no(cell: Any) -> bool:
    """Whether a cell can be that of a 0/1 column."""
    said = as_text(cell).strip().lower().removesuffix(".0")
    return not said or said in _YES or said in _NO


def guess_separator(cells: Iterable[str]) -> str | None:
    """What separates several labels in one cell; None where each cell holds one.

    A comma also occurs inside a name; it separates only where a part of one cell also stands
    in another.
    """
    whole = {cell.strip() for cell in cells if cell.strip()}
    for separator in SEPARATORS:
        joined = {cell for cell in whole if separator in cell}
        if not joined:
            continue
        if separator != ",":
            return separator
        parts = Counter(part.strip() for cell in whole for part in set(cell.split(separator)))
        if any(parts[part.strip()] > 1 for cell in joined for part in cell.split(separator)):
            return separator
    return None


def guess_none(labels: Iterable[str]) -> str | None:
    """The label that probably means "no violation": a usual word, or "not" before something."""
    by_slug = {slug(label): label for label in sorted(labels)}
    for word in _NONE_WORDS:
        if word in by_slug:
            return by_slug[word]
    for code, label in by_slug.items():
        if code.startswith(_NONE_BEGINNINGS):
            return label
    for code, label in by_slug.items():
        if code.startswith(("not", "non")) and any(
            code[3:] and code[3:] in other for other in by_slug if other != code
        ):
            return label
    return None


def categories_of(labels: Iterable[str], *, none_label: str | None) -> list[Category]:
    """First categories from the labels found, in alphabetical order, still without definitions.

    Raises:
        InvalidInputError: a label cannot be a category's name.
    """
    none = {slug(none_label or NONE_NAME), NONE_NAME}
    found: dict[str, Category] = {}
    for label in sorted(labels):
        code = slug(label)
        if code in none or code in found:
            continue
        try:
            found[code] = Category(code=code, name=human_name(label))
        except ValidationError as error:
            why = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise InvalidInputError(
                f"The label {label[:80]!r} cannot be a category: {why}.", "Rename it in the file."
            ) from error
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which label means which category of a policy, and which mean "no violation"."""

    policy: Policy
    codes: dict[str, str]
    none: frozenset[str]

    @classmethod
    def of(cls, policy: Policy, none_label: str | None) -> Vocabulary:
        """The labels of one policy: codes and names, however they are written."""
        codes = {slug(category.name): category.code for category in policy.categories}
        codes |= {category.code: category.code for category in policy.categories}
        none = {NONE_NAME} | ({slug(none_label)} if none_label else set())
        return cls(policy, codes, frozenset(none))

    def knows(self, label: str) -> bool:
        """Whether the label is a category or means "no violation"."""
        return slug(label) in self.none or slug(label) in self.codes

    def read(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Labels as codes in the policy's order; none of them is an empty tuple.

        Raises:
            UnknownLabelError: the policy does not know one.
            CellError: "no violation" stands beside a category.
        """
        slugs = {label: slug(label) for label in labels}
        # What the person called "no violation" is that, even where a category has this code.
        rest = {label: code for label, code in slugs.items() if code not in self.none}
        unknown = [label for label, code in rest.items() if code not in self.codes]
        if unknown:
            raise UnknownLabelError(unknown)
        if rest and len(rest) < len(slugs):
            raise CellError(f"the labels {', '.join(map(repr, labels))} say both a violation and none")
        return self.policy.in_order(self.codes[code] for code in rest.values())


def _listed(values: Any) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)) or any(isinstance(one, (list, dict)) for one in values):
        raise CellError("the labels are not a list of words")
    texts = [as_text(one).strip() for one in values]
    return tuple(dict.fromkeys(text for text in texts if text))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        # Frames written as CSV hold lists as Python writes them: ['a', 'b'].
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise CellError(f"the labels {text[:60]!r} are not a JSON list") from None
