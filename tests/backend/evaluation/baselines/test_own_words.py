"""Words are found whole, however they are written; what the list cannot say, it does not."""

from pathlib import Path

import numpy as np
import pytest

from backend.evaluation.baselines.own_words import as_words, fit_own_words, has_words, read_words, write_words

CODES = ("scam", "insult", "spam")


def hits(phrase: str, text: str) -> bool:
    score, known = fit_own_words({phrase: []}, CODES)
    [[found]] = score([text]).tolist()
    assert known == []
    return bool(found)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("clown", "What a CLOWN!"),
        ("Straße", "in der STRASSE"),
        ("ﬁend", "you fiend"),
        ("cafe\u0301", "the CAFÉ"),
        ("bank code", "your bank\n  Code, please"),
        ("e-mail", "by E-Mail."),
        ("f***", "what the f*** is"),
        ("🖕", "take this🖕now"),
        ("hater", "ha\u00adter"),
        ("fullwidth", "ｆｕｌｌｗｉｄｔｈ"),
        ("नमस्ते", "हाँ नमस्ते!"),
        ("傻瓜", "你是傻瓜吗"),
        ("γάτος", "ΓΆΤΟΣ"),
    ],
)
def test_a_word_is_found_however_it_is_written(phrase: str, text: str) -> None:
    assert hits(phrase, text)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("ass", "a class of assets"),
        ("ass", "ass_hole"),
        ("bank code", "the bank has a code"),
        ("bank code", "bank codes"),
        ("bank code", "code bank"),
        ("नम", "नमस्ते"),
        ("स", "नमस्ते"),
        ("f***", "f**"),
        ("clown", ""),
        ("a b c", "a b"),
    ],
)
def test_part_of_a_word_or_phrase_is_none(phrase: str, text: str) -> None:
    assert not hits(phrase, text)


def test_a_post_has_the_categories_of_its_words() -> None:
    entries = {"clown": ["insult"], "free money": ["scam", "spam"], "blocked": [], "old": ["gone"]}
    score, known = fit_own_words(entries, CODES)
    assert known == ["scam", "insult", "spam"]
    texts = ["free money, clown", "free", "blocked", "an old post", "fine"]
    assert score(texts).tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert score([]).shape == (0, 4)


def test_a_category_without_words_is_not_told() -> None:
    score, known = fit_own_words({"clown": ["insult"]}, CODES)
    assert known == ["insult"]
    assert score(["a clown"]).tolist() == [[1, 1]]


def test_phrases_that_begin_alike_are_told_apart() -> None:
    score, _ = fit_own_words({"free": ["spam"], "free money": ["scam"]}, CODES)
    assert score(["free bread", "free money"]).tolist() == [[0, 1, 1], [1, 1, 1]]


def test_a_list_in_a_folder_is_read_back(tmp_path: Path) -> None:
    assert not has_words(tmp_path)
    write_words(tmp_path, 3, {"傻瓜": ["insult"], "x": []})
    assert has_words(tmp_path)
    assert read_words(tmp_path) == (3, {"傻瓜": ["insult"], "x": []})


def test_what_is_no_word_has_none() -> None:
    assert as_words(" \t\u00ad\u200b") == ()
    assert as_words("Don't go_back 2x") == ("don", "'", "t", "go_back", "2x")


def test_long_posts_cost_no_more_than_their_length() -> None:
    score, _ = fit_own_words({f"word{number} and more": ["scam"] for number in range(5_000)}, CODES)
    found = score(["word7 and more " * 5_000])
    assert np.array_equal(found, [[1.0, 1.0]])
