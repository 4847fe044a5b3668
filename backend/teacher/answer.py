"""Reading what a teacher says: JSON, JSON inside prose, or text under three headings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from training.policy import Policy

_NONE = frozenset({"none", "no violation", "no violations", "not a violation", "no rule", "no rules", "n/a"})
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_HEADING = re.compile(
    r"^[ \t>#*_\-\d.)]{0,12}"
    r"(?P<name>analysis|harmful|classification)"
    r"(?:[ \t]+(?:process|information|content|passages|results?))?"
    r"[\s*_]*(?:[::][\s*_]*|$)",
    re.MULTILINE | re.IGNORECASE,
)
_QUOTED = re.compile(r'"([^"\n]+)"|“([^”\n]+)”|„([^“”\n]+)[“”]|«([^»\n]+)»')
_MARKS = " \t\r\n.*_`'\"“”„«»[](){}•-–—#>"


class UnreadableAnswerError(Exception):
    """The text has no classification in it that the policy knows; the message says why."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A teacher's answer. `labels` are category codes in the policy's order."""

    labels: tuple[str, ...]
    analysis: str = ""
    harmful: tuple[str, ...] = ()


def storable(text: str) -> str:
    """The text without what no database keeps: NUL and halves of surrogate pairs."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def read_answer(text: str, policy: Policy, *, none_label: str | None = None) -> Parts:
    """Read an answer, as JSON where there is some and else under its three headings.

    Args:
        text: what the teacher wrote.
        none_label: the project's own word for "no violation".

    Raises:
        UnreadableAnswerError: there is no classification, or it names what is not in the policy.
    """
    text = storable(_THOUGHTS.sub("", text)).strip()
    if not text:
        raise UnreadableAnswerError("the answer is empty")
    labels = _Labels(policy, none_label)
    found = _last_object(text)
    if found is not None:
        return _from_object(found, labels)
    sections = _sections(text)
    if "classification" not in sections:
        raise UnreadableAnswerError("the answer has neither JSON nor a classification under its heading")
    return Parts(
        labels=labels.read(_first_paragraph(sections["classification"])),
        analysis=sections.get("analysis", ""),
        harmful=_quotes(sections.get("harmful", "")),
    )


class _Labels:
    """Category codes by what a teacher may call them."""

    def __init__(self, policy: Policy, none_label: str | None) -> None:
        self._policy = policy
        self._codes = {_key(category.name): category.code for category in policy.categories}
        self._codes |= {_key(category.code): category.code for category in policy.categories}
        self._none = _NONE | ({_key(none_label)} if none_label else set())

    def read(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            if not value.strip():
                raise UnreadableAnswerError("the classification is empty")
            names = self._split(value)
        elif isinstance(value, list) and all(isinstance(name, str) for name in value):
            names = [name for name in value if name.strip(_MARKS)]
        else:
            raise UnreadableAnswerError("the classification is neither a text nor a list of texts")
        codes = {self._code(name) for name in names}
        if None in codes and len(codes) > 1:
            raise UnreadableAnswerError("the classification names both categories and no violation")
        return self._policy.in_order(code for code in codes if code is not None)

    def _split(self, text: str) -> list[str]:
        if _key(text) in self._codes:
            return [text]
        names = [name for name in re.split(r"[,;|\n]", text) if name.strip(_MARKS)]
        if not names and "[" not in text:
            raise UnreadableAnswerError("the classification is empty")
        parts: list[str] = []
        for name in names:
            known = _key(name) in self._codes
            parts.extend([name] if known else re.split(r"\s+(?:and|&)\s+|/", name))
        return parts

    def _code(self, name: str) -> str | None:
        key = _key(name)
        if key in self._codes:
            return self._codes[key]
        if key in self._none:
            return None
        raise UnreadableAnswerError(f"the policy has no category {name.strip(_MARKS)[:80]!r}")


def _key(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", name.strip(_MARKS).casefold()).strip()


def _last_object(text: str) -> dict[str, Any] | None:
    """The last JSON object in the text that has a classification; reasoning may hold drafts."""
    found = None
    for value in _objects(text):
        folded = {_key(name): member for name, member in value.items()}
        if "classification" in folded:
            found = folded
    return found


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder(strict=False)
    start = text.find("{")
    while start != -1:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)


def _from_object(value: dict[str, Any], labels: _Labels) -> Parts:
    analysis = value.get("analysis", value.get("analysis process", ""))
    harmful = value.get("harmful information", value.get("harmful", []))
    if isinstance(harmful, str):
        quotes = _quotes(harmful)
    else:
        members = harmful if isinstance(harmful, list) else []
        quotes = tuple(storable(quote.strip()) for quote in members if isinstance(quote, str))
    return Parts(
        labels=labels.read(value["classification"]),
        analysis=storable(analysis).strip() if isinstance(analysis, str) else "",
        harmful=tuple(quote for quote in quotes if quote and _key(quote) not in _NONE),
    )


def _sections(text: str) -> dict[str, str]:
    """What stands under each heading; of two alike the last, for reasoning may hold drafts."""
    headings = list(_HEADING.finditer(text))
    return {
        heading["name"].lower(): text[heading.end() : following.start() if following else None].strip()
        for heading, following in zip_longest(headings, headings[1:])
    }


def _first_paragraph(text: str) -> str:
    """What follows after an empty line is a remark, not a label."""
    return re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]


def _quotes(text: str) -> tuple[str, ...]:
    """The quoted passages; without quotation marks each line or part between bars is one."""
    quoted = ["".join(groups) for groups in _QUOTED.findall(text)]
    passages = quoted or re.split(r"\n|\s\|\s", text)
    cleaned = (passage.strip(" \t\r*•-–—") for passage in passages)
    return tuple(passage for passage in cleaned if passage and _key(passage) not in _NONE)
