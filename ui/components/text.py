"""Text that others wrote, shown as text.

Posts are hostile. Whatever stands in one, a reader's browser gets characters: no markdown, no
HTML, no picture that would tell a stranger who reads. `literal` escapes first and marks after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import streamlit as st
from markupsafe import Markup, escape

from training.policy import NONE_NAME

Span = tuple[int, int]
"""Where something stands in a text: first character, and the one after the last."""

_MARK = Markup('<mark class="ov-mark">{}</mark>')
_LEARNED = Markup('<span class="ov-learned">{}</span>')
_GIVEN = Markup('<span class="ov-given">{}</span>')
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What a browser does not draw, or what would end its reading of the text.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def literal(text: str, marks: Iterable[Span] = ()) -> Markup:
    """The text as HTML that shows exactly its characters, with the spans marked."""
    pieces: list[Markup] = []
    end = 0
    for start, stop in _apart(marks, len(text)):
        pieces += [_escaped(text[end:start]), _MARK.format(_escaped(text[start:stop]))]
        end = stop
    pieces.append(_escaped(text[end:]))
    return Markup("").join(pieces)


def learned(segments: Iterable[tuple[str, bool]]) -> Markup:
    """Prompt and answer: what is given in grey, what is learned coloured."""
    return Markup("").join(
        (_LEARNED if is_learned else _GIVEN).format(_escaped(text)) for text, is_learned in segments
    )


def quoted(quotes: Sequence[str]) -> Markup:
    """The passages that somebody quoted from a post, or that there are none."""
    if not quotes:
        return Markup('<span class="ov-faint">{}</span>').format(NONE_NAME)
    return Markup(" · ").join(
        Markup('<q class="ov-quote">{}</q>').format(_escaped(quote)) for quote in quotes
    )


def label(text: str) -> str:
    """Text for a button, heading or caption, where Streamlit would read markdown."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(_UNPRINTABLE.sub(" ", text).split()))


def lines(*parts: str | None) -> str:
    """Sentences one under the other, those that are there, where Streamlit would read markdown."""
    return "  \n".join(label(part) for part in parts if part)


def post(text: str, marks: Iterable[Span] = (), *, blur: bool = False) -> Markup:
    """A post in its own block; with `blur` it is covered until the pointer rests on it."""
    look = "ov-post ov-blur" if blur else "ov-post"
    return Markup('<div class="{}" dir="auto">{}</div>').format(look, literal(text, marks))


def show(html: Markup, *, width: Literal["stretch", "content"] = "stretch") -> None:
    """Draw HTML that this module, or `Markup.format`, has put together."""
    st.html(str(html), width=width)


def _escaped(text: str) -> Markup:
    return escape(_UNPRINTABLE.sub("\ufffd", text))


def _apart(marks: Iterable[Span], length: int) -> list[Span]:
    """The spans inside the text, in order, with those that touch or overlap made one."""
    found: list[Span] = []
    for start, stop in sorted((max(0, start), min(length, stop)) for start, stop in marks):
        if start >= stop:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found
