"""A word list, as teams have before they have a model: made of the words most typical of each category."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from backend.evaluation.baselines.taught import Posts, Scorer
from backend.evaluation.judged import Bools, Floats

LONGEST = 50
"""Words on a category's list at most."""

# A word is typical where its log-odds differ from the other posts' by more than chance would have it.
_SURE = 1.96
# Pseudo-counts of each word, as a share of how often all posts have it.
_PRIOR = 0.02


def fit_word_list(posts: Posts) -> Scorer:
    """A list for each category, and for any violation the words of all of them.

    The more words of a list stand in a post, the likelier it is said to be: 1 - 2^-words.
    """
    lists = typical_words(posts)
    lists.append(sorted(set().union(*lists)))
    places = [set(words) for words in lists]
    split = CountVectorizer().build_analyzer()

    def score(texts: Sequence[str]) -> Floats:
        found = [set(split(text)) for text in texts]
        hits = np.array([[len(words & listed) for listed in places] for words in found], dtype=float)
        return 1 - 0.5 ** hits.reshape(len(texts), len(places))

    return score


def typical_words(posts: Posts) -> list[list[str]]:
    """For each category the words that its posts use more than others do, the most typical first.

    By log-odds with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008, eq. 16 and
    20 to 22); a post counts a word once.
    """
    counter = CountVectorizer(binary=True)
    split = counter.build_analyzer()
    if not any(split(text) for text in posts.texts):
        return [[] for _ in posts.codes]
    counts = counter.fit_transform(posts.texts)
    words = counter.get_feature_names_out()
    has = posts.questions[:, :-1]
    return [_typical(words, _sum(counts, of), _sum(counts, ~of)) for of in has.T]


def _sum(counts: NDArray[np.int64], posts: Bools) -> Floats:
    return np.asarray(counts[np.flatnonzero(posts)].sum(axis=0), dtype=float).ravel()


def _typical(words: NDArray[np.object_], inside: Floats, outside: Floats) -> list[str]:
    if not inside.sum() or not outside.sum():
        return []
    both = inside + outside
    prior = _PRIOR * both
    log_odds = [
        np.log((part + prior) / (part.sum() + prior.sum() - part - prior)) for part in (inside, outside)
    ]
    z = (log_odds[0] - log_odds[1]) / np.sqrt(1 / (inside + prior) + 1 / (outside + prior))
    order = np.argsort(-z, kind="stable")[:LONGEST]
    return [str(words[place]) for place in order if z[place] > _SURE]
