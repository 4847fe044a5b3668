"""Baselines learn what there is to learn, and say nothing where there is nothing."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from backend.evaluation.baselines import profanity
from backend.evaluation.baselines.regression import fit_regression
from backend.evaluation.baselines.taught import Posts, Scorer
from backend.evaluation.baselines.word_list import LONGEST, fit_word_list, typical_words

CODES = ("scam", "insult")
KINDS = [
    ("send your bank code to win a prize {}", ("scam",)),
    ("you stupid clown nobody likes you {}", ("insult",)),
    ("you stupid clown send your bank code {}", ("scam", "insult")),
    ("see you at the match tonight {}", ()),
    ("the bread in this shop is good {}", ()),
]
TAUGHT = Posts(
    [text.format(number) for number in range(20) for text, _ in KINDS],
    [labels for _ in range(20) for _, labels in KINDS],
    CODES,
)
ASKED = ["win a prize, send the code", "what a stupid clown", "good bread tonight", ""]

learners = pytest.mark.parametrize("fit", [fit_regression, fit_word_list])
Fit = Callable[[Posts], Scorer]


@learners
def test_a_baseline_tells_the_categories_apart(fit: Fit) -> None:
    scores = fit(TAUGHT)(ASKED)
    assert scores.shape == (4, 3)
    assert ((scores >= 0) & (scores <= 1)).all()
    scam, insult, violation = scores.T
    assert scam.argmax() == 0 and insult.argmax() == 1
    assert violation[:2].min() > violation[2:].max()


@learners
@pytest.mark.parametrize(
    ("texts", "labels"),
    [([], []), (["one post", "two posts"], [(), ()]), (["one post", "two posts"], [("scam",), ("scam",)])],
)
def test_what_cannot_be_learned_is_the_same_for_all_posts(
    fit: Fit, texts: list[str], labels: list[tuple[str, ...]]
) -> None:
    scores = fit(Posts(texts, labels, CODES))(["one post", "another"])
    assert np.isfinite(scores).all()
    assert (scores[0] == scores[1]).all()


@learners
def test_posts_without_words_and_no_posts_at_all(fit: Fit) -> None:
    silent = fit(Posts(["🙂", "!!"], [("scam",), ()], CODES))(["🙂", "!!", "words"])
    assert np.isfinite(silent).all()
    assert fit(TAUGHT)([]).shape == (0, 3)


def test_a_regression_is_ahead_of_a_word_list_where_words_count_together() -> None:
    random = np.random.default_rng(0)
    filler = [f"word{number}" for number in range(40)]
    texts, labels = [], []
    for number in range(400):
        # "free" is harmless alone and a scam beside "money".
        kind = number % 3
        words = list(random.choice(filler, 6)) + [["free", "money"], ["free", "bread"], ["my", "money"]][kind]
        texts.append(" ".join(words))
        labels.append(("scam",) if kind == 0 else ())
    half = Posts(texts[:200], labels[:200], CODES)
    truth = np.array([bool(each) for each in labels[200:]])
    regression, listed = (
        average_precision_score(truth, fit(half)(texts[200:])[:, 0])
        for fit in (fit_regression, fit_word_list)
    )
    assert regression > 0.95
    assert regression >= listed


def test_the_words_of_a_list_are_those_that_its_posts_use_more() -> None:
    scam, insult = typical_words(TAUGHT)
    assert {"bank", "code", "send"} <= set(scam)
    assert {"stupid", "clown"} <= set(insult)
    assert not {"bread", "match"} & set(scam + insult)
    assert max(len(scam), len(insult)) <= LONGEST


def test_each_word_of_the_list_halves_the_doubt() -> None:
    scores = fit_word_list(TAUGHT)(["nothing here", "stupid", "stupid clown"])
    assert scores[:, 1].tolist() == [0.0, 0.5, 0.75]


def test_profanity_check_knows_an_insult() -> None:
    assert profanity.is_installed()
    scores = profanity.score(["you are a stupid piece of shit", "see you at the match tonight"])
    assert scores.shape == (2, 1)
    assert scores[0, 0] > 0.8 > 0.2 > scores[1, 0]
    assert profanity.score([]).shape == (0, 1)
