"""Labels of a set that are not the policy's, and what of the policy each of them stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.errors import InvalidInputError
from backend.intake.cells import CellError
from backend.intake.labels import Vocabulary, slug
from backend.intake.scan import NoneLabel, choose_none


@dataclass(frozen=True, slots=True)
class OwnLabels:
    """The labels that a set knows.

    Attributes:
        by_code: the set's label for each of the policy's codes that has one.
        written: each label as the file most often writes it, by slug.
        none: the label that means no violation.
    """

    by_code: dict[str, str]
    written: dict[str, str]
    none: NoneLabel

    @property
    def unmapped(self) -> tuple[str, ...]:
        """The labels that stand for none of the policy's codes."""
        return tuple(label for label in self._violations.values() if label not in self.by_code.values())

    def read(self, labels: Sequence[str]) -> tuple[str, ...]:
        """A row's labels as the set writes them; nothing for no violation.

        Raises:
            CellError: "no violation" stands beside a label.
        """
        slugs = set(map(slug, labels))
        violations = [label for each, label in self._violations.items() if each in slugs]
        if violations and len(violations) < len(slugs):
            raise CellError(f"the labels {', '.join(map(repr, labels))} say both a violation and none")
        return tuple(violations)

    def breaks_a_rule(self, labels: Sequence[str]) -> bool:
        """Whether one of a row's labels stands for something that the policy knows."""
        return not set(labels).isdisjoint(self.by_code.values())

    @property
    def _violations(self) -> dict[str, str]:
        none = slug(self.none.label or "")
        return {each: label for each, label in self.written.items() if each != none}


def own_labels(
    wanted: Mapping[str, str],
    labels: Counter[str],
    vocabulary: Vocabulary,
    *,
    none_label: str | None,
    stored_none: str | None,
) -> OwnLabels:
    """The labels of a file, with what people said that they stand for.

    A label that is one of the policy's as it is stands for that, unless this code has another.

    Args:
        wanted: the file's label for each of the policy's codes or names.
        labels: how often each label occurs.
        vocabulary: the policy's.
        none_label: the label that means no violation; guessed where it is not given.
        stored_none: the one that the project has.

    Raises:
        InvalidInputError: the policy has no such category, the file no such label, a label is to
            mean a category and none at once, or none stands for any category.
    """
    written: dict[str, str] = {}
    for label, _ in labels.most_common():
        written.setdefault(slug(label), label)
    by_code = {_code(name, vocabulary): _written(label, written) for name, label in wanted.items()}
    mapped = {slug(label) for label in by_code.values()}
    if none_label is not None and slug(none_label) in mapped:
        raise InvalidInputError(
            f"{none_label!r} cannot mean both no violation and a category.", "Map only the other labels."
        )
    rest = [label for each, label in written.items() if each not in mapped]
    none = choose_none(none_label, stored_none, rest, known=None)
    for each, label in written.items():
        code = vocabulary.codes.get(each)
        if code is not None and each != slug(none.label or ""):
            by_code.setdefault(code, label)
    if not by_code:
        raise InvalidInputError(
            "None of the set's labels stands for a category of the policy.",
            "Say what one stands for: --map CATEGORY=LABEL.",
        )
    in_order = vocabulary.policy.in_order(by_code)
    return OwnLabels({code: by_code[code] for code in in_order}, written, none)


def _code(name: str, vocabulary: Vocabulary) -> str:
    code = vocabulary.codes.get(slug(name))
    if code is None:
        known = ", ".join(category.code for category in vocabulary.policy.categories)
        raise InvalidInputError(f"The policy has no category {name!r}.", f"Its categories: {known}.")
    return code


def _written(label: str, written: Mapping[str, str]) -> str:
    known = written.get(slug(label))
    if known is None:
        raise InvalidInputError(
            f"No row has the label {label!r}.", f"The labels are: {', '.join(sorted(written.values())[:50])}."
        )
    return known
