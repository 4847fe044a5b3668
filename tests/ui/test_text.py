"""Posts stay text, whatever stands in them."""

from __future__ import annotations

import html
import re

from hypothesis import example, given
from hypothesis import strategies as st

from ui.components import text

HOSTILE = '<img src="http://evil.example/x.png" onerror=alert(1)> ![a](http://evil.example/a.png) **b** $c$'
OUR_TAGS = re.compile(r'<mark class="ov-mark">|</mark>|<span class="ov-(?:learned|given)">|</span>')

posts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        HOSTILE,
        "</div><script>alert(1)</script>",
        "&lt;b&gt;",
        '"><svg onload=alert(1)>',
        "<mark>",
        "a\nb\r\nc",
    ]
)
spans = st.lists(st.tuples(st.integers(-5, 60), st.integers(-5, 60)), max_size=6)


def characters(markup: str) -> str:
    """What a reader sees: our own tags gone, entities read."""
    return html.unescape(OUR_TAGS.sub("", markup))


def drawable(post: str) -> str:
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "\ufffd", post)


@given(posts, spans)
@example(HOSTILE, [(0, 4), (2, 9)])
def test_no_tag_but_ours_and_every_character(post: str, marks: list[tuple[int, int]]) -> None:
    drawn = text.literal(post, marks)
    assert "<" not in OUR_TAGS.sub("", drawn)
    assert characters(drawn) == drawable(post)


@given(posts, spans)
def test_exactly_the_spans_are_marked(post: str, marks: list[tuple[int, int]]) -> None:
    wanted = {at for start, stop in marks for at in range(max(0, start), min(stop, len(post)))}
    marked: set[int] = set()
    at = 0
    for piece in re.split(r'(<mark class="ov-mark">.*?</mark>)', text.literal(post, marks), flags=re.DOTALL):
        shown = characters(piece)
        if piece.startswith("<mark"):
            marked |= set(range(at, at + len(shown)))
        at += len(shown)
    assert marked == wanted


@given(st.lists(st.tuples(posts, st.booleans())))
def test_tokens_keep_every_character(segments: list[tuple[str, bool]]) -> None:
    drawn = text.learned(segments)
    assert "<" not in OUR_TAGS.sub("", drawn)
    assert characters(drawn) == drawable("".join(piece for piece, _ in segments))


@given(posts)
def test_a_quote_and_a_post_bring_no_tag_along(post: str) -> None:
    shell = re.compile(r'<div class="ov-post(?: ov-blur)?" dir="auto">|</div>|<q class="ov-quote">|</q>')
    for drawn in (text.post(post, blur=True), text.quoted([post])):
        assert "<" not in shell.sub("", drawn)


@given(posts)
def test_a_label_has_no_live_markdown(post: str) -> None:
    left_over = re.sub(r"\\[!-/:-@\[-`{-~]", "", text.label(post))
    assert not re.search(r"[!-/:-@\[-`{-~]", left_over)


def test_an_empty_post_is_drawn() -> None:
    assert text.post("") == '<div class="ov-post" dir="auto"></div>'


def test_no_quotes_are_said_in_a_word() -> None:
    assert "none" in text.quoted([])
