"""Disguises: readable for people, the same each time, whatever a text is made of."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.evaluation.robustness import (
    EMOJI,
    LEETSPEAK,
    LOOK_ALIKES,
    UNCHANGED,
    Disguise,
    assign,
    casing,
    disguise,
    emoji,
    leetspeak,
    look_alikes,
    spaces,
)
from backend.text import text_hash

POST = "You are all THE same, and nobody wants you here!"

ODD = [
    "",
    " ",
    "🔥",
    "🔥🔥 💯",
    "אני שונא אתכם",
    "أنا أكرهكم",
    "e\u0301t\u0301 a\u0308",
    "ß İ ſ ǅ",
    "a",
    "1 2 3",
]
TEXTS = st.one_of(st.sampled_from(ODD), st.text())


def undone(text: str, kind: str) -> str:
    """What a reader takes a disguised text for."""
    if kind == Disguise.LOOK_ALIKES:
        back = {false: true for true, false in LOOK_ALIKES.items()}
        return "".join(back.get(letter, letter) for letter in text)
    if kind == Disguise.LEETSPEAK:
        back = {sign: letter for letter, sign in LEETSPEAK.items() if letter.islower()}
        return "".join(back.get(letter, letter) for letter in text.casefold())
    if kind == Disguise.CASING:
        return text.casefold()
    if kind == Disguise.EMOJI:
        text = "".join(letter for letter in text if letter not in EMOJI)
    return "".join(text.split())


@given(TEXTS, st.text(), st.sampled_from(list(Disguise)))
def test_people_can_still_read_it(text: str, key: str, kind: Disguise) -> None:
    name, disguised = disguise(text, key, kind)
    assert undone(disguised, name) == undone(text, name) if name != UNCHANGED else disguised == text
    assert disguise(text, key, kind) == (name, disguised), "the same each time"
    # Only of nothing nothing can be made.
    assert (name == UNCHANGED) == (not text.strip())
    assert (text_hash(disguised) == text_hash(text)) == (name == UNCHANGED), "to the database another post"


@pytest.mark.parametrize("kind", list(Disguise))
def test_each_disguise_shows(kind: Disguise) -> None:
    name, disguised = disguise(POST, "p1", kind)
    assert name == kind
    assert disguised != POST
    assert disguise(POST, "p2", kind)[1] != disguised or kind is Disguise.SPACES, (
        "chance follows from the key"
    )


def test_what_they_look_like() -> None:
    random = Random("")
    assert spaces("I am bad", random) == "I   a m   b a d"
    assert set(look_alikes("ace" * 20, random)) == set("aceасе")
    assert set(leetspeak("ToE" * 20, random)) == set("ToE703")
    assert set(casing("ab" * 20, random)) == set("abAB")
    words = emoji("some words here", random).split(" ")
    assert [word for word in words if word not in EMOJI] == ["some", "words", "here"]
    assert len(words) > 3


def test_a_disguise_that_would_not_show_gives_way_to_the_next() -> None:
    arabic = "أنا أكرهكم"
    assert disguise(arabic, "k", Disguise.LOOK_ALIKES)[0] == "spaces"
    assert disguise(arabic, "k", Disguise.CASING)[0] == "emoji"
    assert disguise("🔥", "k", Disguise.LOOK_ALIKES)[0] == "emoji"
    assert disguise("", "k", Disguise.EMOJI) == (UNCHANGED, "")


def test_marks_stay_on_their_letters() -> None:
    assert spaces("e\u0301te\u0301", Random("")) == "e\u0301t e\u0301"


@given(st.dictionaries(st.text(), st.booleans()))
def test_each_is_given_as_often_among_violations_and_others(posts: dict[str, bool]) -> None:
    given_ = assign(list(posts.items()))
    assert given_ == assign(list(reversed(posts.items())))
    of_all = Counter(given_.values())
    assert max(of_all.values(), default=0) - min((of_all[kind] for kind in Disguise), default=0) <= 1
    for positive in (True, False):
        of_these = Counter(kind for key, kind in given_.items() if posts[key] is positive)
        counts = [of_these[kind] for kind in Disguise]
        assert max(counts) - min(counts) <= 1
