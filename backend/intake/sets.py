"""Storing evaluation sets: posts that are never trained on."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidInputError
from backend.intake.cells import CellError, as_text
from backend.intake.columns import FEWEST_GROUPS, MOST_GROUPS
from backend.intake.labels import UnknownLabelError, Vocabulary, slug
from backend.intake.own_labels import OwnLabels
from backend.intake.reports import MOST_REJECTED, Rejected
from backend.intake.rows import Post

_NAME = re.compile(r"[\w][\w .()+-]{0,79}")
# The trainer keeps the validation rows under this name, and the test split's sets have theirs.
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})((?:-[A-Za-z0-9]{1,8})*)")
_LONGEST_LANGUAGE = 20
_RESERVED = frozenset({"validation", "train", "test", "test split"})


@dataclass(frozen=True, slots=True)
class SetRow:
    """One post of a set with its frozen labels."""

    external_id: str
    text: str
    text_hash: str
    labels: tuple[str, ...]
    positive: bool
    meta: dict[str, Any]


class SetBuilder:
    """Collects a set's rows. A set is scored whole, so it may be held in memory whole.

    Args:
        positive: in a set that knows only yes and no, the labels that mean yes.
        own: in a set with labels of its own, what they stand for.
    """

    def __init__(
        self, vocabulary: Vocabulary, positive: Sequence[str] | None, own: OwnLabels | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._own = own
        self.positive = None if positive is None else tuple(dict.fromkeys(positive))
        self._yes = {slug(label) for label in positive or ()}
        self._found: dict[str, tuple[int, SetRow]] = {}
        self._rejected: list[Rejected] = []
        self.counts: Counter[str] = Counter()
        self.unknown_labels: Counter[str] = Counter()

    @property
    def rows(self) -> list[SetRow]:
        """The rows in the file's order."""
        return [row for _, row in self._found.values()]

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The rows that were left out."""
        return tuple(self._rejected)

    def add(self, posts: Iterable[Post | Rejected]) -> None:
        """Take in posts; a row without a label cannot be judged and is left out."""
        for post in posts:
            if isinstance(post, Rejected):
                self._reject(post.line, post.why)
                continue
            try:
                row = self._row(post)
            except CellError as error:
                if isinstance(error, UnknownLabelError):
                    self.unknown_labels.update(error.labels)
                self._reject(post.line, str(error))
                continue
            line, before = self._found.setdefault(row.external_id, (post.line, row))
            if line == post.line:
                continue
            if (before.text_hash, before.labels, before.positive) == (
                row.text_hash,
                row.labels,
                row.positive,
            ):
                self.counts["duplicates"] += 1
                continue
            what = "another text" if before.text_hash != row.text_hash else "another label"
            self._reject(post.line, f"the id {row.external_id!r} is taken: line {line} has it with {what}")

    def groups(self, column: str | None) -> dict[str, str]:
        """What a column of the metadata says of each post, by id; nothing where it makes no groups."""
        if column is None:
            return {}
        said = {row.external_id: as_text((row.meta or {}).get(column)).strip() for row in self.rows}
        return said if FEWEST_GROUPS <= len(set(said.values()) - {""}) <= MOST_GROUPS else {}

    def hash(self) -> str:
        """sha256 (hex) over posts, labels and what these stand for, in any order; metadata does not count."""
        said = sorted(
            json.dumps([row.external_id, row.text_hash, sorted(row.labels), row.positive])
            for _, row in self._found.values()
        )
        if self._own is not None:
            said.append(json.dumps(self._own.by_code, sort_keys=True))
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def _row(self, post: Post) -> SetRow:
        if post.labels is None:
            raise CellError("it has no label")
        meta = dict(post.meta or {})
        labels: tuple[str, ...] = ()
        if self.positive is not None:
            positive = any(slug(label) in self._yes for label in post.labels)
            meta["label"] = ", ".join(post.labels)
        elif self._own is not None:
            labels = self._own.read(post.labels)
            positive = self._own.breaks_a_rule(labels)
        else:
            labels = self._vocabulary.read(post.labels)
            positive = bool(labels)
        name = post.external_id or post.text_hash[:16]
        return SetRow(name, post.text, post.text_hash, labels, positive, meta)

    def _reject(self, line: int, why: str) -> None:
        self.counts["rejected"] += 1
        if len(self._rejected) < MOST_REJECTED:
            self._rejected.append(Rejected(line, why))


def check_name(name: str) -> str:
    """A set's name, which is also part of file names.

    Raises:
        InvalidInputError: it cannot be one.
    """
    name = " ".join(name.split())
    if not _NAME.fullmatch(name) or name.casefold() in _RESERVED:
        raise InvalidInputError(
            f"{name!r} cannot be an evaluation set's name.",
            "Use letters, digits, spaces and .()+-_, and not a split's name.",
        )
    return name


def check_language(language: str | None) -> str | None:
    """A language's tag as BCP 47 has it: "de", "pt-BR".

    Raises:
        InvalidInputError: it cannot be one.
    """
    if language is None or not language.strip():
        return None
    found = _LANGUAGE.fullmatch(language.strip())
    if found is None or len(found[0]) > _LONGEST_LANGUAGE:
        raise InvalidInputError(
            f"{language!r} is no language's tag.", "Use one like en, de or pt-BR (BCP 47)."
        )
    return found[1].lower() + found[2]


def check_positive(positive: Sequence[str], labels: Iterable[str]) -> None:
    """Refuse a label for "yes" that the file does not have.

    Raises:
        InvalidInputError: with the labels that there are.
    """
    known = {slug(label): label for label in labels}
    for label in positive:
        if slug(label) not in known:
            raise InvalidInputError(
                f"No row has the label {label!r}.",
                f"The labels are: {', '.join(sorted(known.values())[:50])}.",
            )
