"""What is put together, and what is not."""

import numpy as np
import pytest

from backend.near_duplicates import clusters, jaccard, near, shingles_of

LONG = "The committee will meet on Thursday evening to talk about the new rules for the park."


def test_copies_and_small_changes_are_together_and_other_posts_are_not() -> None:
    texts = [
        LONG,
        "Nothing to do with it: the weather was fine and we went swimming in the lake.",
        LONG.upper(),
        LONG.replace("Thursday", "Tuesday"),
        "  " + LONG.replace(" ", "   ") + " ",
        "The park is closed.",
    ]
    assert clusters(texts).tolist() == [0, 1, 0, 0, 0, 2]


def test_what_lies_between_puts_the_ends_together() -> None:
    words = [f"word{number}" for number in range(60)]
    chain = [" ".join(words[start : start + 40]) for start in range(0, 21, 4)]
    ends = jaccard(shingles_of(chain[0]), shingles_of(chain[-1]))
    assert ends < 0.5
    assert len(set(clusters(chain).tolist())) == 1


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["a", "b"], ["a", "a "]])
def test_short_and_empty_posts(texts: list[str]) -> None:
    found = clusters(texts)
    assert len(found) == len(texts)
    assert len(set(found.tolist())) == len({text.strip() for text in texts})


def test_most_pairs_that_are_alike_are_found() -> None:
    """500 posts with a copy each in which two of 20 words are others: Jaccard about .7 to .9."""
    random = np.random.default_rng(0)
    vocabulary = np.array([f"{number:x}" * 3 for number in range(3_000)])
    originals = random.choice(vocabulary, size=(500, 20))
    copies = originals.copy()
    copies[:, 3] = random.choice(vocabulary, size=500)
    posts, changed = ([" ".join(words) for words in some] for some in (originals, copies))
    alike = [
        jaccard(shingles_of(one), shingles_of(other)) >= 0.7
        for one, other in zip(posts, changed, strict=True)
    ]
    found = near(changed, posts)
    wrong = (found >= 0) & (found != np.arange(500))
    assert not wrong.any()
    assert sum(alike) > 400
    assert np.mean(found[np.array(alike)] >= 0) > 0.9


def test_the_likest_is_named() -> None:
    assert near([LONG], [LONG.replace("Thursday", "Tuesday"), LONG, "else"]).tolist() == [1]
    assert near(["else"], [LONG]).tolist() == [-1]
    assert near([], [LONG]).tolist() == []
    assert near([LONG], []).tolist() == [-1]
