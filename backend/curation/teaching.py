"""What the student is taught, piece by piece, as the trainer renders it."""

from __future__ import annotations

from collections.abc import Iterator

from backend.curation.views import Segment
from training.prompt import Answer, Form, Renderer

# Stands for the part of a character that is still missing the tokens to come.
_INCOMPLETE = "\ufffd"


def segments(renderer: Renderer, text: str, form: Form, answer: Answer, max_length: int) -> list[Segment]:
    """The rendered example: the prompt in one piece, then the learned tokens one by one.

    Raises:
        training.prompt.PromptError: the row cannot be learned in this form or length.
    """
    example = renderer.example(text, form, answer, max_length)
    prompt = renderer.decode(example.prefix + example.post + example.suffix)
    return [Segment(prompt, learned=False), *_learned(renderer, example.answer)]


def _learned(renderer: Renderer, ids: tuple[int, ...]) -> Iterator[Segment]:
    """One piece a token; tokens that only together make a character stay together."""
    shown = ""
    for end in range(1, len(ids) + 1):
        # A token can look different at the start of a text, so it is read in its place.
        text = renderer.decode(ids[:end])
        if text.endswith(_INCOMPLETE) and end < len(ids):
            continue
        yield Segment(text[len(shown) :], learned=True)
        shown = text
