"""Posts that say nearly the same: reposts, copies with a word changed, templates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from backend.text import normalise

ALIKE = 0.7
"""From which share of common shingles on (Jaccard) two posts are near-duplicates."""

_SHINGLE = 5
"""Characters of a shingle: a changed letter touches five of a post's."""

_PERMUTATIONS = 128
_SEED = 1


def clusters(texts: Sequence[str], alike: float = ALIKE) -> NDArray[np.int64]:
    """Posts put together that are near-duplicates, directly or by others between them.

    Candidates come from MinHash with locality-sensitive hashing (Broder 1997); each pair is then
    compared exactly, so that none is put together wrongly. A few of those that are just alike
    enough are missed.

    Returns:
        (n,) the number of each post's cluster, counted from 0 in order of first appearance.
    """
    shingles = [shingles_of(text) for text in texts]
    index = MinHashLSH(threshold=alike, num_perm=_PERMUTATIONS)
    pairs = []
    for place, sketch in enumerate(_sketches(shingles)):
        pairs += [
            (place, other)
            for other in index.query(sketch)
            if jaccard(shingles[place], shingles[other]) >= alike
        ]
        index.insert(place, sketch)
    ones, others = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    together = coo_array((np.ones(len(pairs)), (ones, others)), shape=(len(texts), len(texts)))
    labels = connected_components(together, directed=False)[1] if len(texts) else []
    return np.asarray(labels, dtype=np.int64)


def near(texts: Sequence[str], others: Sequence[str], alike: float = ALIKE) -> NDArray[np.int64]:
    """Which post of others each post nearly repeats.

    Returns:
        (n,) the place of the likest among `others`; -1 where none is alike enough.
    """
    known = [shingles_of(text) for text in others]
    index = MinHashLSH(threshold=alike, num_perm=_PERMUTATIONS)
    for place, sketch in enumerate(_sketches(known)):
        index.insert(place, sketch)
    found = np.full(len(texts), -1, dtype=np.int64)
    asked = [shingles_of(text) for text in texts]
    for place, sketch in enumerate(_sketches(asked)):
        likest, other = max(
            ((jaccard(asked[place], known[other]), -other) for other in index.query(sketch)),
            default=(0.0, 0),
        )
        if likest >= alike:
            found[place] = -other
    return found


def shingles_of(text: str) -> frozenset[bytes]:
    """A post's runs of five characters, whatever its case and spaces; itself where it is shorter."""
    plain = normalise(text).casefold()
    runs = (plain[start : start + _SHINGLE] for start in range(max(1, len(plain) - _SHINGLE + 1)))
    return frozenset(run.encode("utf-8", "surrogatepass") for run in runs)


def jaccard(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    """The share of their shingles that both have."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def _sketches(shingles: Sequence[frozenset[bytes]]) -> Iterator[MinHash]:
    yield from MinHash.generator(shingles, num_perm=_PERMUTATIONS, seed=_SEED)
