"""Posts disguised as people disguise them who want to get past a filter; anyone can still read them.

Everything follows from a post's text and its key, so that a set that is made again is the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from random import Random

from backend.text import normalise

GROUP = "disguise"
"""The key of the metadata that says how a post is disguised."""

UNCHANGED = "unchanged"
"""Stands for a disguise where a text has nothing to disguise."""


class Disguise(StrEnum):
    """What is done to a post."""

    LOOK_ALIKES = "look-alikes"
    SPACES = "spaces"
    LEETSPEAK = "leetspeak"
    CASING = "casing"
    EMOJI = "emoji"


# Cyrillic letters that look like Latin ones and, unlike full-width ones, are other letters in NFKC.
LOOK_ALIKES: Mapping[str, str] = dict(
    zip("aceijopsxyABCEHIJKMOPSTX", "асеіјорѕхуАВСЕНІЈКМОРЅТХ", strict=True)
)
LEETSPEAK: Mapping[str, str] = {
    letter: sign
    for letters, sign in (("aA", "4"), ("eE", "3"), ("iI", "1"), ("oO", "0"), ("sS", "5"), ("tT", "7"))
    for letter in letters
}
EMOJI = ("🙂", "😂", "🔥", "💯", "👀")

# What is disguised of what could be: nobody does it everywhere.
_SHARE = 0.5
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])(?=[^\W\d_])")
_BETWEEN_WORDS = re.compile(r" +")
_WORD_ENDS = re.compile(r"(?<=\S)(?=\s|$)")


def assign(posts: Sequence[tuple[str, bool]]) -> dict[str, Disguise]:
    """A disguise for each post, each as often as the others, among violations and among the rest.

    Args:
        posts: the posts' keys, each with whether the post breaks a rule.
    """
    in_order = sorted(posts, key=lambda post: (post[1], hashlib.sha256(post[0].encode()).digest()))
    kinds = list(Disguise)
    return {key: kinds[place % len(kinds)] for place, (key, _) in enumerate(in_order)}


def disguise(text: str, key: str, kind: Disguise) -> tuple[str, str]:
    """A text disguised, and how: in another way where this one would not show.

    Args:
        text: the post.
        key: the post's, from which chance follows.
        kind: what to do to it.

    Returns:
        The disguise's name, `UNCHANGED` where none shows, and the text.
    """
    kinds = list(Disguise)
    first = kinds.index(kind)
    for one in (*kinds[first:], *kinds[:first]):
        changed = _HOW[one](text, Random(f"{one} {key}"))
        if normalise(changed) != normalise(text):
            return one.value, changed
    return UNCHANGED, text


def look_alikes(text: str, random: Random) -> str:
    """Latin letters become Cyrillic ones that look the same."""
    return _swapped(text, LOOK_ALIKES, random)


def spaces(text: str, random: Random) -> str:
    """A space between any two letters, and three between words."""
    return _BETWEEN_LETTERS.sub(" ", _BETWEEN_WORDS.sub("   ", text))


def leetspeak(text: str, random: Random) -> str:
    """Letters become digits that recall them: h4te."""
    return _swapped(text, LEETSPEAK, random)


def casing(text: str, random: Random) -> str:
    """Capitals and small letters at random: hAtE."""
    # A few letters have no way back: ß becomes SS.
    both_ways = {letter: letter.swapcase() for letter in set(text) if letter.swapcase() != letter}
    return _swapped(text, {a: b for a, b in both_ways.items() if len(b) == 1 and b.swapcase() == a}, random)


def emoji(text: str, random: Random) -> str:
    """Emoji behind words."""
    ends = {match.start() for match in _WORD_ENDS.finditer(text)}
    chosen = {end: f" {EMOJI[int(random.random() * len(EMOJI))]}" for end in _some(sorted(ends), random)}
    return "".join(chosen.get(place, "") + letter for place, letter in enumerate(text)) + chosen.get(
        len(text), ""
    )


_HOW: Mapping[Disguise, Callable[[str, Random], str]] = {
    Disguise.LOOK_ALIKES: look_alikes,
    Disguise.SPACES: spaces,
    Disguise.LEETSPEAK: leetspeak,
    Disguise.CASING: casing,
    Disguise.EMOJI: emoji,
}


def _swapped(text: str, table: Mapping[str, str], random: Random) -> str:
    places = set(_some([place for place, letter in enumerate(text) if letter in table], random))
    return "".join(table[letter] if place in places else letter for place, letter in enumerate(text))


def _some(places: Sequence[int], random: Random) -> list[int]:
    """About half of them, and at least one where there is one."""
    chosen = [place for place in places if random.random() < _SHARE]
    return chosen or list(places[:1])
