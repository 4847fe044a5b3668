"""The probability that the student's answer names a category, from the logits.

Valid answers are the sets of at most `max_labels` categories as the student writes them: names
in the policy's order joined by ", ", or "none", each closed by what follows it: the end token in
the direct and the reasoned form, and in the explained form, whose reason comes after the labels,
the token with the line break behind them. With P(answer) the product of its tokens' probabilities
after the prompt,

    valid_mass  = sum of P over all valid answers
    p_<code>    = sum of P over the valid answers that name the category / valid_mass
    any_violation = sum of P over the valid answers but "none" / valid_mass

The rest, 1 - valid_mass, is the probability that an answer is invalid: no set of the policy's
categories, a set of more than `max_labels`, or one that is written otherwise.

This is exact, not sampled and not read from generated text. An explained answer is scored up to its
first line's end, "Classification: scam, hate" and the line break, which is the probability of that
line summed over every reason that could follow; no reason is written, so it costs what a direct
answer costs. In the reasoned form the student first writes its reason (greedily), and the same is
then taken of the classification after that reason, going on from what was computed while it wrote.

How it is computed: the prefix (the policy) once for all posts; then batches of posts of about the
same length; then behind each the branches of the tree of all answers that can still change a score
(`training/likelihood.py`: what is left out moves none by more than 1e-6).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from training.answers import AnswerTree, ScoringError, answer_tree
from training.continuation import Prefix
from training.fitting import attempt
from training.likelihood import answer_log_probabilities, answers_behind
from training.memory import MemoryShortError
from training.prompt import Example, Form, PromptError, Renderer, written_form
from training.reasons import (
    Done,
    OnDone,
    Written,
    read_written,
    reason_in,
    reason_room,
    reasons_read,
    write,
)
from training.student import Student

_log = logging.getLogger(__name__)

OnProgress = Callable[[int, int, int], None]
"""Called with posts done, posts in all, and the tokens just computed."""

Prefixes = Callable[[Form], Prefix]
"""The states of each form's prefix."""

_AT_ONCE = 2048
"""So many posts lie in memory as tokens, and are sorted by length."""


def _ignored(*_: int) -> None:
    """What is done of progress that nobody asks for."""


__all__ = ["Scores", "ScoringError", "prefixes_of", "score"]


@dataclass(frozen=True, slots=True)
class Scores:
    """What was found of some posts, one line a post in the given order.

    Attributes:
        table: id, p_<code> for each category, any_violation, valid_mass.
        reasons: id, analysis, harmful, labels as the student wrote them, where that was asked for.
    """

    table: pd.DataFrame
    reasons: pa.Table | None = None


def prefixes_of(student: Student, renderer: Renderer) -> Prefixes:
    """Each form's prefix, computed when it is first asked for; good while the weights stay as they are."""
    return cache(lambda form: student.prefill(renderer.frame_ids(form)[0]))


def score(
    student: Student,
    renderer: Renderer,
    ids: Sequence[Any],
    texts: Sequence[str],
    *,
    form: Form = "direct",
    max_labels: int,
    max_length: int,
    reasons: bool = False,
    prefixes: Prefixes | None = None,
    on_progress: OnProgress = _ignored,
    on_written: Callable[[int], None] = _ignored,
) -> Scores:
    """Score posts.

    Args:
        student: the model, with or without an adapter.
        renderer: of the prompt that it was trained under.
        ids: what each post is called in the result.
        texts: the posts.
        form: the form in which it answers.
        max_labels: the most categories that an answer names.
        max_length: tokens in all; longer posts lose their middle.
        reasons: whether what it writes is kept. One that is scored directly then writes a reasoned
            answer, too, which its scores do not depend on.
        prefixes: where more than these posts are scored, from `prefixes_of`.
        on_progress: called after each row of posts; it may raise to stop.
        on_written: called with how many more posts have their reason, likewise.

    Raises:
        ScoringError: the policy leaves no room for a post, or a probability is no number.
        MemoryShortError: not even one post fits into memory.
    """
    asked = _Asked(
        student,
        renderer,
        prefixes or prefixes_of(student, renderer),
        form,
        answer_tree(renderer, form, max_labels),
        max_length,
    )
    columns = [*(f"p_{code}" for code in renderer.policy.codes), "any_violation", "valid_mass"]
    result = np.zeros((len(texts), len(columns)))
    kept: list[pa.Table] = []
    with student.summed():
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            found = _Found(result[start : start + _AT_ONCE], start, len(texts), on_progress)
            if form == "reasoned":
                answers = asked.after_reasons(part, reasons, on_written, found)
            else:
                answers = asked.write(asked.prompts(part, asked.written), True, on_written) if reasons else []
                asked.at_once(part, found)
            if reasons:
                kept.append(read_written(renderer, asked.written, ids[start : start + _AT_ONCE], answers))
    if not np.isfinite(result).all():
        raise ScoringError("the model's probabilities are no numbers; its weights are broken")
    table = pd.DataFrame(result, columns=columns)
    table.insert(0, "id", list(ids))
    if reasons and not kept:
        kept.append(read_written(renderer, asked.written, [], []))
    return Scores(table, pa.concat_tables(kept) if kept else None)


@dataclass(frozen=True, slots=True)
class _Found:
    """Where probabilities go.

    Attributes:
        values: (posts, C + 2) the columns from p_<code> on.
        before: posts that were scored before these.
        of: posts in all.
        known: which posts have theirs.
    """

    values: np.ndarray[Any, Any]
    before: int
    of: int
    on_progress: OnProgress
    known: set[int] = field(default_factory=set)

    def take(self, posts: list[int], values: np.ndarray[Any, Any], tokens: int) -> None:
        """Some posts' values, (B, C + 2)."""
        self.values[posts] = values
        self.known.update(posts)
        self.on_progress(self.before + len(self.known), self.of, tokens)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A student that is asked in one form.

    Attributes:
        tree: of the valid answers.
        max_length: tokens in all.
    """

    student: Student
    renderer: Renderer
    prefixes: Prefixes
    form: Form
    tree: AnswerTree
    max_length: int

    @property
    def written(self) -> Form:
        """The form in which it writes reasons."""
        return written_form(self.form)

    @property
    def _room(self) -> int:
        """Tokens of prompt and reason: the longest classification fits behind them."""
        return self.max_length - self.tree.depth

    def prompts(self, texts: Sequence[str], form: Form) -> list[Example]:
        """Posts as they are put to it in a form."""
        return prompts(self.renderer, texts, form, self.tree, self.max_length)

    def write(
        self,
        examples: Sequence[Example],
        whole: bool,
        on_written: Callable[[int], None],
        on_done: OnDone | None = None,
    ) -> list[Written]:
        """What it writes of posts, to the end or up to its classification."""
        return write(
            self.student,
            self.renderer,
            self.prefixes(self.written),
            examples,
            self._room,
            label_tokens=self.tree.depth if whole else 0,
            on_written=on_written,
            on_done=on_done,
        )

    def at_once(self, texts: Sequence[str], found: _Found) -> None:
        """Score posts whose classification is the first that is answered."""
        examples = self.prompts(texts, self.form)
        tails = [example.post + example.suffix for example in examples]
        named = _naming(self.tree, self.renderer)
        for chosen, tokens in rows_by_length(tails, self.tree.nodes, lambda: self.student.scored_tokens):
            row = [tails[index] for index in chosen]
            answers = _answers_that_fit(self.student, self.tree, self.prefixes(self.form), row)
            found.take(chosen, _probabilities(answers, named), tokens)

    def after_reasons(
        self, texts: Sequence[str], whole: bool, on_written: Callable[[int], None], found: _Found
    ) -> list[Written]:
        """Let it write posts' reasons and score the classification behind; gives what it wrote.

        Posts are scored as they come to the end of their reason, while what was computed of them is there.
        """
        examples = self.prompts(texts, self.form)
        named = _naming(self.tree, self.renderer)

        def score_done(done: Done) -> None:
            before = [len(examples[post].post) + len(examples[post].suffix) for post in done.posts]
            reasons = [
                reason_in(self.renderer, written, reason_room(self.renderer, examples[post], self._room))
                for post, written in zip(done.posts, done.written, strict=True)
            ]
            last = reasons_read(reasons, done, before)
            lengths = [length + len(reason) for length, reason in zip(before, reasons, strict=True)]
            answers = answers_behind(self.student, self.tree, done.states, lengths, last)
            found.take(
                done.posts, _probabilities(answers, named), sum(lengths) + len(lengths) * self.tree.nodes
            )

        return self.write(examples, whole, on_written, score_done)


def prompts(
    renderer: Renderer, texts: Sequence[str], form: Form, tree: AnswerTree, max_length: int
) -> list[Example]:
    """Render posts with room left for the longest answer.

    Raises:
        ScoringError: there is no room for a post.
    """
    room = tree.depth + (len(renderer.reason_end_ids) if form == "reasoned" else 0)
    try:
        return [renderer.example(text, form, None, max_length - room) for text in texts]
    except PromptError as error:
        raise ScoringError(str(error)) from error


def rows_by_length(
    tails: Sequence[Sequence[int]], nodes: int, budget: Callable[[], int]
) -> Iterator[tuple[list[int], int]]:
    """Posts for each row by index, the short ones first, and the row's tokens without padding.

    Args:
        tails: what follows the prefix.
        nodes: tokens that each post needs beside its own.
        budget: how many tokens a row may have at most by now, padding counted.
    """
    row: list[int] = []
    tokens = 0
    for index in sorted(range(len(tails)), key=lambda index: len(tails[index])):
        own = len(tails[index]) + nodes
        # The others are padded to this one, which is the longest so far.
        if row and (len(row) + 1) * own > budget():
            yield row, tokens
            row, tokens = [], 0
        row.append(index)
        tokens += own
    if row:
        yield row, tokens


def _answers_that_fit(
    student: Student, tree: AnswerTree, prefix: Prefix, tails: Sequence[Sequence[int]]
) -> Tensor:
    """As `answer_log_probabilities`; where memory runs out, in halves, and later rows are half as long.

    Raises:
        MemoryShortError: a post does not fit alone.
    """
    answers = attempt(lambda: answer_log_probabilities(student, tree, prefix, tails))
    if answers is not None:
        return answers
    tokens = len(tails) * (max(map(len, tails)) + tree.nodes)
    if len(tails) == 1:
        raise MemoryShortError(f"a single post, {tokens:,} tokens with all its answers")
    student.scored_tokens = min(student.scored_tokens, tokens // 2)
    _log.warning("the memory ran out; posts are scored in rows of at most %d tokens", student.scored_tokens)
    half = len(tails) // 2
    return torch.cat(
        [_answers_that_fit(student, tree, prefix, part) for part in (tails[:half], tails[half:])]
    )


def _naming(tree: AnswerTree, renderer: Renderer) -> Tensor:
    """Which answers name which category, and last which name any, (C + 1, A) bool."""
    naming = [[code in labels for labels in tree.answers] for code in renderer.policy.codes]
    return torch.tensor([*naming, [bool(labels) for labels in tree.answers]])


def _probabilities(answers: Tensor, named: Tensor) -> np.ndarray[Any, Any]:
    """Answers' log probabilities (B, A) to p_<code>…, any_violation and valid_mass, (B, C + 2)."""
    valid = torch.logsumexp(answers, dim=1)
    nothing = torch.tensor(float("-inf"), dtype=answers.dtype)
    of_category = torch.logsumexp(torch.where(named[None], answers[:, None, :], nothing), dim=2)
    columns = torch.cat([(of_category - valid[:, None]).exp(), valid.exp()[:, None]], dim=1)
    # Rounding can carry a sum of probabilities a hair past one.
    return columns.clamp(0.0, 1.0).numpy()
