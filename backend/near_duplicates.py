"""Posts that say nearly the same: reposts, copies with a word changed, templates.

Candidates come from MinHash with locality-sensitive hashing (Broder 1997); each pair is then
compared exactly, so that no two are taken for alike that are not. Of those that are just alike
enough one in a hundred is missed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from backend.text import normalise

ALIKE = 0.7
"""From which share of common shingles on (Jaccard) two posts are near-duplicates."""

_SHINGLE = 5
"""Characters of a shingle: a changed letter touches five of a post's."""

_BANDS, _ROWS = 25, 5
"""Two posts are compared where all rows of one band agree, which of those with a share s in common
1 - (1 - s⁵)²⁵ do: 0.99 at 0.7, 0.23 at 0.4."""

_PERMUTATIONS = _BANDS * _ROWS
# Of the posts that others are compared with, so many have their shingles at hand.
_AT_HAND = 4_096
# CRC-32 is spread well enough for what is permuted afterwards, and much quicker than SHA-1.
_EMPTY = MinHash(num_perm=_PERMUTATIONS, seed=1, hashfunc=zlib.crc32)


class Known:
    """Posts that others can be compared with; those that differ in case and spaces alone are one.

    Only these posts take memory, however many are compared with them.

    Args:
        texts: the posts; each has a place, counted from 0, which its repeats share.
        alike: see `ALIKE`.
    """

    def __init__(self, texts: Iterable[str], alike: float = ALIKE) -> None:
        self._alike = alike
        self._index = MinHashLSH(num_perm=_PERMUTATIONS, params=(_BANDS, _ROWS))
        self._shingles = lru_cache(_AT_HAND)(_shingles)
        self._posts: list[str] = []
        self._of: dict[str, int] = {}
        self._shared: set[bytes] = set()
        self.places = np.array([self._add(_plain(text)) for text in texts], dtype=np.int64)
        """(n,) the place of each of `texts`."""

    def like(self, text: str) -> Iterator[int]:
        """The places of the posts that a post nearly repeats, in order, compared as they are asked for."""
        shingles = shingles_of(text)
        # What two posts share is among what these posts have at all; that alone rules out most.
        if len(shingles & self._shared) < self._alike * len(shingles):
            return
        for place in self._candidates(shingles):
            if self._alike_enough(shingles, place):
                yield place

    def together(self) -> DisjointSet:
        """The places, those in one subset that are near-duplicates, directly or by others between them."""
        found = DisjointSet(range(len(self._posts)))
        for place, post in enumerate(self._posts):
            shingles = self._shingles(post)
            for other in self._candidates(shingles):
                # A template's posts are together long before all pairs of them are compared.
                if other > place and found[other] != found[place] and self._alike_enough(shingles, other):
                    found.merge(place, other)
        return found

    def _add(self, plain: str) -> int:
        place = self._of.setdefault(plain, len(self._posts))
        if place == len(self._posts):
            shingles = _shingles(plain)
            self._posts.append(plain)
            self._shared |= shingles
            self._index.insert(place, _sketch(shingles))
        return place

    def _candidates(self, shingles: frozenset[bytes]) -> list[int]:
        return sorted(self._index.query(_sketch(shingles)))

    def _alike_enough(self, shingles: frozenset[bytes], place: int) -> bool:
        return jaccard(shingles, self._shingles(self._posts[place])) >= self._alike


def clusters(texts: Sequence[str], alike: float = ALIKE) -> NDArray[np.int64]:
    """Posts put together that are near-duplicates, directly or by others between them.

    Returns:
        (n,) the number of each post's cluster, counted from 0 in order of first appearance.
    """
    known = Known(texts, alike)
    found = known.together()
    return np.asarray(pd.factorize(np.array([found[place] for place in known.places.tolist()]))[0])


def near(texts: Iterable[str], others: Sequence[str], alike: float = ALIKE) -> NDArray[np.int64]:
    """Which post of others each post nearly repeats.

    Returns:
        (n,) where among `others` the first one stands that is alike enough; -1 where none is.
    """
    known = Known(others, alike)
    _, first = np.unique(known.places, return_index=True)
    found = (next(known.like(text), None) for text in texts)
    return np.array([-1 if place is None else first[place] for place in found], dtype=np.int64)


def shingles_of(text: str) -> frozenset[bytes]:
    """A post's runs of five characters, whatever its case and spaces; itself where it is shorter."""
    return _shingles(_plain(text))


def jaccard(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    """The share of their shingles that both have."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def _plain(text: str) -> str:
    return normalise(text).casefold()


def _shingles(plain: str) -> frozenset[bytes]:
    runs = (plain[start : start + _SHINGLE] for start in range(max(1, len(plain) - _SHINGLE + 1)))
    return frozenset(run.encode("utf-8", "surrogatepass") for run in runs)


def _sketch(shingles: frozenset[bytes]) -> MinHash:
    sketch = _EMPTY.copy()
    sketch.update_batch(shingles)
    return sketch
