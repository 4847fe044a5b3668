"""What is put together, and what is not."""

import numpy as np
import pytest

from backend import near_duplicates
from backend.near_duplicates import Known, clusters, jaccard, near, shingles_of

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
    assert np.mean(found[np.array(alike)] >= 0) > 0.98


def test_the_first_that_is_alike_enough_is_named() -> None:
    others = ["else", LONG.replace("Thursday", "Tuesday"), "else", LONG]
    assert near([LONG, "ELSE", LONG.upper()], others).tolist() == [1, 0, 1]
    assert near([LONG], [LONG[:30], LONG]).tolist() == [1]
    assert near(["else"], [LONG]).tolist() == [-1]
    assert near([], [LONG]).tolist() == []
    assert near([LONG], []).tolist() == [-1]


def test_by_hand_how_alike_is_alike_enough() -> None:
    """Ten characters have six runs of five. With another last one 5 of 7 are common, with two 4 of 8."""
    assert jaccard(shingles_of("abcdefghij"), shingles_of("abcdefghiX")) == pytest.approx(5 / 7)
    known = Known(["abcdefghij", "ABCDEFGHIJ ", "abcdefghiX", "abcdefghXY", "else"])
    assert known.places.tolist() == [0, 0, 1, 2, 3]
    assert list(known.like("abcdefghij")) == [0, 1]
    assert clusters(["abcdefghij", "abcdefghXY"]).tolist() == [0, 1]


def test_ten_thousand_copies_of_a_post_are_one_post(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pairs they would be fifty million comparisons; of a template's posts few are compared, too."""
    compared = 0

    def counted(one: frozenset[bytes], other: frozenset[bytes]) -> float:
        nonlocal compared
        compared += 1
        return jaccard(one, other)

    monkeypatch.setattr(near_duplicates, "jaccard", counted)
    copies = [LONG + " " * (number % 7) for number in range(10_000)]
    assert set(clusters(copies).tolist()) == {0} and compared == 0
    assert set(near(copies[:100], copies).tolist()) == {0} and compared == 100
    template = [LONG.replace("Thursday", str(number)) for number in range(300)]
    assert set(clusters(template).tolist()) == {0}
    assert compared < 1_000
