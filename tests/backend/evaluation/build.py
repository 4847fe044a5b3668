"""Models on made-up posts, and prediction frames as the trainer writes them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from backend.evaluation.judged import Judged


def random_judged(*, posts: int, codes: int, seed: int, noise: float = 1.0) -> Judged:
    """A model whose scores are the truth with noise; the same seed gives the same posts."""
    random = np.random.default_rng(seed)
    gold = random.random((posts, codes)) < 0.25
    errors = random.normal(size=(posts, codes))
    scores = 1 / (1 + np.exp(-(3 * gold - 1.5 + noise * errors)))
    named = scores >= 0.5
    return Judged(
        np.arange(1, posts + 1),
        tuple(f"c{column}" for column in range(codes)),
        gold,
        named,
        gold.any(axis=1),
        named.any(axis=1),
        scores,
        scores.max(axis=1),
    )


def frame(scores: Mapping[int, Sequence[float]], codes: Sequence[str]) -> pd.DataFrame:
    """A prediction file's content: scores by post."""
    table = pd.DataFrame({"id": [str(post) for post in scores]})
    for column, code in enumerate(codes):
        table[f"p_{code}"] = [float(row[column]) for row in scores.values()]
    return table.assign(valid_mass=1.0)
