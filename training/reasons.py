"""What a student writes of posts, greedily: a reason before it classifies, or its whole answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from training.continuation import Continuation, Fed, Prefix
from training.fitting import attempt
from training.memory import MemoryShortError
from training.prompt import CLASSIFICATION, Example, Form, Renderer, UnreadableAnswerError, parse_answer
from training.rows import REASON_TOKENS
from training.student import Student

_log = logging.getLogger(__name__)

Written = tuple[int, ...]
"""The token ids that a student wrote of a post, without the end token."""

_STILL_GOING = 7 / 8
"""Where no more than this share of the posts in a batch are not done, the others are let go."""

_HEADING_TOKENS = 16
"""How many of the last tokens are read to see whether the classification's heading was written."""


@dataclass(frozen=True, slots=True)
class Done:
    """Some posts of which everything is written.

    Attributes:
        posts: which they are.
        written: what was written of each.
        states: what was computed of them, in this order. The last token written may be missing, and
            there may be more behind it.
    """

    posts: list[int]
    written: list[Written]
    states: Continuation


OnDone = Callable[[Done], None]

_PARTS = {"analysis": pa.string(), "harmful": pa.list_(pa.string()), "labels": pa.list_(pa.string())}


@torch.no_grad()
def write(
    student: Student,
    renderer: Renderer,
    prefix: Prefix,
    examples: Sequence[Example],
    max_length: int,
    *,
    label_tokens: int = 0,
    on_written: Callable[[int], None] = lambda posts: None,
    on_done: OnDone | None = None,
) -> list[Written]:
    """Let the student write an answer to each post, greedily and many at once.

    Args:
        student: the model that writes.
        renderer: of the prompt.
        prefix: the states of the prompts' prefix, which all posts share.
        examples: prompts without an answer.
        max_length: tokens in all of prompt and reason.
        label_tokens: how many more the classification may take. Without any, nothing is written
            after the heading of a reasoned answer's classification.
        on_written: called with how many more posts are done; it may raise to stop.
        on_done: called with posts that are done and what was computed of them, a second time where
            memory ran out meanwhile.

    Raises:
        MemoryShortError: a post does not fit into memory alone.
    """
    answers: list[Written] = [()] * len(examples)
    order = sorted(range(len(examples)), key=lambda index: len(examples[index]))
    while order:
        chosen, order = order[: student.written_at_once], order[student.written_at_once :]
        rooms = [reason_room(renderer, examples[index], max_length) + label_tokens for index in chosen]
        prompts = [examples[index] for index in chosen]
        batch = _Batch(student, renderer, prefix, not label_tokens, on_done)
        found = batch.written_that_fit(chosen, prompts, rooms)
        for index, answer in zip(chosen, found, strict=True):
            answers[index] = answer
        on_written(len(chosen))
    return answers


def reason_room(renderer: Renderer, example: Example, max_length: int) -> int:
    """Tokens that a post's reason may take, so that its heading still fits behind it."""
    return max(0, min(REASON_TOKENS, max_length - len(example) - len(renderer.reason_end_ids)))


def reason_in(renderer: Renderer, written: Written, room: int) -> Written:
    """What was written up to the classification's heading, which is added where it is missing.

    Args:
        renderer: of the reasoned prompt.
        written: an answer, or its beginning.
        room: tokens that the reason may take.
    """
    for end in range(1, min(room, len(written)) + 1):
        if renderer.decode(written[max(0, end - _HEADING_TOKENS) : end]).endswith(CLASSIFICATION):
            return written[:end]
    return (*written[:room], *renderer.reason_end_ids)


def read_written(renderer: Renderer, form: Form, ids: Sequence[Any], written: Sequence[Written]) -> pa.Table:
    """Answers as a table: id, analysis, harmful (a list), labels (a list of codes).

    An answer that cannot be read has its whole text as analysis, and null as labels.
    """
    parts = [_parts(renderer, form, renderer.decode(answer)) for answer in written]
    columns = (
        pa.array([part[column] for part in parts], kind) for column, kind in enumerate(_PARTS.values())
    )
    return pa.table({"id": pa.array(list(ids))} | dict(zip(_PARTS, columns, strict=True)))


def _parts(renderer: Renderer, form: Form, text: str) -> tuple[str, list[str], list[str] | None]:
    try:
        answer = parse_answer(renderer.policy, form, text)
    except UnreadableAnswerError:
        return text, [], None
    return answer.analysis or "", list(answer.harmful), list(answer.labels)


@dataclass(frozen=True, slots=True)
class _Batch:
    """How posts are written of together.

    Attributes:
        to_heading: whether nothing is written after the heading of the classification.
    """

    student: Student
    renderer: Renderer
    prefix: Prefix
    to_heading: bool
    on_done: OnDone | None

    def written_that_fit(
        self, posts: Sequence[int], examples: Sequence[Example], rooms: Sequence[int]
    ) -> list[Written]:
        """As `written`; where memory runs out, in halves.

        Raises:
            MemoryShortError: a post does not fit into memory alone.
        """
        written = attempt(lambda: self.written(posts, examples, rooms))
        if written is not None:
            return written
        if len(examples) == 1:
            raise MemoryShortError(f"the reason for a single post of {len(examples[0]):,} tokens")
        student = self.student
        student.written_at_once = min(student.written_at_once, half := len(examples) // 2)
        _log.warning("the memory ran out; reasons of at most %d posts are written at once", half)
        return [
            answer
            for part in (slice(half), slice(half, None))
            for answer in self.written_that_fit(posts[part], examples[part], rooms[part])
        ]

    def written(
        self, posts: Sequence[int], examples: Sequence[Example], rooms: Sequence[int]
    ) -> list[Written]:
        """What is written of posts, a token of each at a time.

        Those that have come to their end go on unheard until there are enough of them to be let go,
        because that copies what was computed.
        """
        written: list[list[int]] = [[] for _ in examples]
        tails = [example.post + example.suffix for example in examples]
        states = Continuation(self.student, self.prefix, tails)
        here = list(range(len(examples)))
        going = {post for post in here if rooms[post] > 0}
        slots = list(map(len, tails))
        hidden = states.last
        while here:
            tokens: list[int] = self.student.logits(hidden).argmax(-1).tolist()
            for post, token in zip(here, tokens, strict=True):
                if post in going and self._ends(written[post], token, rooms[post]):
                    going.remove(post)
            if len(going) <= len(here) * _STILL_GOING:
                if self.on_done is not None:
                    done = [row for row, post in enumerate(here) if post not in going]
                    left = [here[row] for row in done]
                    answers = [tuple(written[post]) for post in left]
                    self.on_done(Done([posts[post] for post in left], answers, states.part(done)))
                kept = [row for row, post in enumerate(here) if post in going]
                states = states.part(kept)
                here, tokens, slots = ([each[row] for row in kept] for each in (here, tokens, slots))
            if here:
                hidden = states.go_on(Fed.following([[token] for token in tokens], slots))
                slots = [slot + 1 for slot in slots]
        return [tuple(answer) for answer in written]

    def _ends(self, written: list[int], token: int, room: int) -> bool:
        """Add a token to what is written; whether that fills its room, or comes to its end."""
        if token == self.renderer.end_id:
            return True
        written.append(token)
        if len(written) >= room:
            return True
        last = self.renderer.decode(written[-_HEADING_TOKENS:]) if self.to_heading else ""
        return last.endswith(CLASSIFICATION)


def reasons_read(reasons: Sequence[Written], done: Done, lengths: Sequence[int]) -> Tensor:
    """Let posts go on to the end of their reasons; the states of the last tokens, (B, D).

    Args:
        reasons: what `reason_in` gives of what was written.
        done: what was written, and computed.
        lengths: tokens of each post before its reason.
    """
    unread, slots = [], []
    for reason, written, length in zip(reasons, done.written, lengths, strict=True):
        # The last token that both have may not have been computed.
        same = takewhile(lambda pair: pair[0] == pair[1], zip(reason, written, strict=False))
        known = max(0, sum(1 for _ in same) - 1)
        unread.append(reason[known:])
        slots.append(length + known)
    hidden = done.states.go_on(Fed.following(unread, slots))
    return hidden[torch.tensor([len(each) for each in unread]).cumsum(0) - 1]
