"""The word list that a team has already: a post has a category where one of its words stands in it.

Words and phrases are found whole, whatever their case and however their characters are encoded
(Unicode's NFKC and case folding); format characters that nobody sees, as soft hyphens, count for
nothing. Where a script puts no spaces between words, each character is taken for one.
"""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np

from backend.evaluation.baselines.taught import Scorer
from backend.evaluation.judged import Floats
from training.files import write_json

_FILE = "word_list.json"
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")

Words = tuple[str, ...]


def as_words(text: str) -> Words:
    """A text as it is searched: its words, and each other character but space as one of its own."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    seen = (character for character in folded if unicodedata.category(character) != "Cf")
    numbered = ((_kind(character, place), character) for place, character in enumerate(seen))
    runs = groupby(numbered, key=lambda one: one[0])
    return tuple("".join(character for _, character in run) for kind, run in runs if kind is not None)


def _kind(character: str, place: int) -> int | None:
    """What runs of characters are told apart by: -1 within a word, None between, else its place."""
    kind = _kind_of(character)
    return place if kind == "alone" else -1 if kind == "word" else None


@lru_cache(maxsize=4096)
def _kind_of(character: str) -> str:
    if character.isspace():
        return "space"
    category = unicodedata.category(character)
    # Marks belong to the letter before them, and "Pc" is the underscore and its like.
    if category[0] not in "LNM" and category != "Pc":
        return "alone"
    return "alone" if unicodedata.name(character, "").startswith(_UNSPACED) else "word"


def fit_own_words(entries: Mapping[str, Sequence[str]], codes: Sequence[str]) -> tuple[Scorer, list[str]]:
    """What scores posts 1 where a word of a category stands in them, else 0, and the categories.

    Only categories that have a word can be told. A word without one, or with one that is none of
    `codes`, tells any violation.

    Args:
        entries: the categories of each word or phrase.
        codes: the policy's.
    """
    named = {code for of in entries.values() for code in of}
    known = [code for code in codes if code in named]
    listed: defaultdict[str, list[tuple[Words, list[int]]]] = defaultdict(list)
    for phrase, of in entries.items():
        words = as_words(phrase)
        listed[words[0]].append((words, [known.index(code) for code in of if code in known]))

    def score(texts: Sequence[str]) -> Floats:
        found = np.zeros((len(texts), len(known) + 1))
        for row, text in enumerate(texts):
            for columns in _hits(as_words(text), listed):
                found[row, [*columns, -1]] = 1.0
        return found

    return score, known


def _hits(text: Words, listed: Mapping[str, Sequence[tuple[Words, list[int]]]]) -> Iterable[list[int]]:
    """The columns of each listed phrase that stands in a text."""
    for place, word in enumerate(text):
        for words, columns in listed.get(word, ()):
            if text[place : place + len(words)] == words:
                yield columns


def write_words(folder: Path, number: int, entries: Mapping[str, Sequence[str]]) -> None:
    """Leave a list in a job's folder."""
    write_json(folder / _FILE, {"number": number, "entries": entries})


def has_words(folder: Path) -> bool:
    """Whether the job was given a list."""
    return (folder / _FILE).is_file()


def read_words(folder: Path) -> tuple[int, dict[str, list[str]]]:
    """The list's number, and the categories of each word or phrase."""
    document = json.loads((folder / _FILE).read_text("utf-8"))
    return document["number"], document["entries"]
