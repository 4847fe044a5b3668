"""The written rules as the student sees them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import combinations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

NONE_NAME = "none"
"""What an answer says when a post breaks no rule."""

_CODE = re.compile(r"[a-z0-9][a-z0-9_]{0,62}")


class Category(BaseModel):
    """One rule. Its code never changes its meaning; its name and wording may."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    name: str
    definition: str = ""
    examples: tuple[str, ...] = ()

    @field_validator("code")
    @classmethod
    def _code_is_a_slug(cls, code: str) -> str:
        if not _CODE.fullmatch(code):
            raise ValueError(
                f"the code {code!r} must be lower-case letters, digits and underscores, "
                "at most 63, starting with a letter or digit"
            )
        return code

    @field_validator("name")
    @classmethod
    def _name_fits_an_answer(cls, name: str) -> str:
        name = " ".join(name.split())
        if not name or "," in name:
            raise ValueError(f"the name {name!r} must not be empty or contain a comma")
        if name.casefold() == NONE_NAME:
            raise ValueError("a category cannot be named 'none': that is the answer for no violation")
        return name

    @property
    def answer_name(self) -> str:
        """The name as the student writes it."""
        return self.name.lower()


class Policy(BaseModel):
    """The categories of one policy version, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    categories: tuple[Category, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _codes_and_names_are_unique(self) -> Policy:
        for what, values in (
            ("code", [category.code for category in self.categories]),
            ("name", [category.answer_name for category in self.categories]),
        ):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"the {what} {twice[0]!r} is given to more than one category")
        return self

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """All category codes, in the policy's order."""
        return tuple(category.code for category in self.categories)

    @cached_property
    def by_code(self) -> dict[str, Category]:
        """Categories by code."""
        return {category.code: category for category in self.categories}

    def in_order(self, codes: Iterable[str]) -> tuple[str, ...]:
        """The codes without repeats, in the policy's order.

        Raises:
            ValueError: a code is not in this policy.
        """
        wanted = set(codes)
        unknown = wanted.difference(self.codes)
        if unknown:
            raise ValueError(f"the policy has no category {sorted(unknown)[0]!r}")
        return tuple(code for code in self.codes if code in wanted)

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) over the categories; the version's number does not count."""
        rules = "\n".join(category.model_dump_json() for category in self.categories)
        return hashlib.sha256(rules.encode()).hexdigest()


def label_sets(codes: Sequence[str], max_labels: int) -> list[tuple[str, ...]]:
    """Every set of at most `max_labels` categories in the policy's order, none first."""
    return [labels for size in range(max_labels + 1) for labels in combinations(codes, size)]
