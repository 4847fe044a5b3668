"""TF-IDF with logistic regression: what a small model is, before it is a language model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from backend.evaluation.baselines.taught import Posts, Scorer
from backend.evaluation.judged import Bools, Floats

# Among few posts a word that occurs once is all there is.
_FEW = 100


def fit_regression(posts: Posts) -> Scorer:
    """A regression for each category and one for any violation, over words and pairs of words.

    A category that all posts have, or none, cannot be learned: its probability is that share.
    """
    models = [_fit(posts.texts, has) for has in posts.questions.T]

    def score(texts: Sequence[str]) -> Floats:
        return np.column_stack([model(texts) for model in models])

    return score


def _fit(texts: Sequence[str], has: Bools) -> Scorer:
    share = float(has.mean()) if len(has) else 0.0
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2 if len(texts) >= _FEW else 1)
    if 0 < share < 1 and _has_words(words, texts):
        pipeline = make_pipeline(words, LogisticRegression(max_iter=1000))
        pipeline.fit(list(texts), has)
        return lambda asked: np.asarray(pipeline.predict_proba(list(asked))[:, 1]) if asked else np.zeros(0)
    return lambda asked: np.full(len(asked), share)


def _has_words(words: TfidfVectorizer, texts: Sequence[str]) -> bool:
    """Whether there is anything to count: posts may be all emoji."""
    split = words.build_analyzer()
    return any(split(text) for text in texts)
