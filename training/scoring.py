"""The probability that the student's answer names a category, from the logits.

Valid answers are the sets of at most `max_labels` categories as the student writes them: names
in the policy's order joined by ", ", or "none", each closed by what follows it: the end token in
the direct and the reasoned form, and in the explained form, whose reason comes after the labels,
the token with the line break behind them. With P(answer) the product of its tokens' probabilities
after the prompt,

    valid_mass  = sum of P over all valid answers
    p_<code>    = sum of P over the valid answers that name the category / valid_mass
    any_violation = sum of P over the valid answers but "none" / valid_mass

This is exact, not sampled and not read from generated text. An explained answer is scored up to its
first line's end, "Classification: scam, hate" and the line break, which is the probability of that
line summed over every reason that could follow; no reason is written, so it costs what a direct
answer costs. A student that was taught the reasoned form only first writes its reason (greedily),
and the same is then taken of the classification after that reason.

How it is computed: the prefix (the policy) once for all posts; then rows of many posts, each
followed by the tree of all answers, in which a token sees its post and its own beginnings only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from training.answers import AnswerTree, ScoringError, answer_tree
from training.fitting import attempt
from training.memory import MemoryShortError
from training.prompt import Example, Form, PromptError, Renderer
from training.reasons import write_reasons
from training.student import Prefix, Student

_log = logging.getLogger(__name__)

OnProgress = Callable[[int, int, int], None]
"""Called with posts done, posts in all, and the tokens just computed."""

__all__ = ["ScoringError", "score"]


def score(
    student: Student,
    renderer: Renderer,
    ids: Sequence[Any],
    texts: Sequence[str],
    *,
    form: Form = "direct",
    max_labels: int,
    max_length: int,
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Score posts.

    Args:
        student: the model, with or without an adapter.
        renderer: of the prompt that it was trained under.
        ids: what each post is called in the result.
        texts: the posts.
        form: the form in which it answers.
        max_labels: the most categories that an answer names.
        max_length: tokens in all; longer posts lose their middle.
        on_progress: called after each row of posts; it may raise to stop.

    Returns:
        One line a post in the given order: id, p_<code> for each category, any_violation, valid_mass.

    Raises:
        ScoringError: the policy leaves no room for a post, or a probability is no number.
        MemoryShortError: not even one post fits into memory.
    """
    tree = answer_tree(renderer, form, max_labels)
    examples = prompts(renderer, texts, form, tree, max_length)
    names = [f"p_{code}" for code in renderer.policy.codes]
    result = np.zeros((len(texts), len(names) + 2))
    if examples:
        tails = [example.post + example.suffix for example in examples]
        if form == "reasoned":
            tails = write_reasons(student, renderer, examples, max_length - tree.depth)
        named = _naming(tree, renderer)
        prefix = student.prefill(examples[0].prefix)
        done = 0
        for chosen, tokens in rows_by_length(tails, len(tree.tokens), lambda: student.scored_tokens):
            answers = _answers_that_fit(student, tree, prefix, [tails[index] for index in chosen])
            result[chosen] = _probabilities(answers, named)
            done += len(chosen)
            if on_progress is not None:
                on_progress(done, len(texts), tokens)
    if not np.isfinite(result).all():
        raise ScoringError("the model's probabilities are no numbers; its weights are broken")
    table = pd.DataFrame(result, columns=[*names, "any_violation", "valid_mass"])
    table.insert(0, "id", list(ids))
    return table


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
    """Posts for each row by index, the short ones first, and the row's tokens.

    Args:
        tails: what follows the prefix.
        nodes: tokens that each post needs beside its own.
        budget: how many tokens a row may have at most by now.
    """
    row: list[int] = []
    tokens = 0
    for index in sorted(range(len(tails)), key=lambda index: len(tails[index])):
        own = len(tails[index]) + nodes
        if row and tokens + own > budget():
            yield row, tokens
            row, tokens = [], 0
        row.append(index)
        tokens += own
    if row:
        yield row, tokens


def _answers_that_fit(
    student: Student, tree: AnswerTree, prefix: Prefix, tails: Sequence[Sequence[int]]
) -> Tensor:
    """As `_answers_of`; where memory runs out, in halves, and later rows are half as long.

    Raises:
        MemoryShortError: a post does not fit alone.
    """
    answers = attempt(lambda: _answers_of(student, tree, prefix, tails))
    if answers is not None:
        return answers
    tokens = sum(len(tail) + len(tree.tokens) for tail in tails)
    if len(tails) == 1:
        raise MemoryShortError(f"a single post, {tokens:,} tokens with all its answers")
    student.scored_tokens = min(student.scored_tokens, tokens // 2)
    _log.warning("the memory ran out; posts are scored in rows of at most %d tokens", student.scored_tokens)
    half = len(tails) // 2
    return torch.cat(
        [_answers_that_fit(student, tree, prefix, part) for part in (tails[:half], tails[half:])]
    )


def _answers_of(student: Student, tree: AnswerTree, prefix: Prefix, tails: Sequence[Sequence[int]]) -> Tensor:
    """The log probability of every answer to each post, (B, A) in fp32."""
    ids: list[Tensor] = []
    positions: list[Tensor] = []
    blocks: list[Tensor] = []
    wanted: list[Tensor] = []
    start = 0
    nodes = len(tree.tokens)
    for tail in tails:
        ids += [torch.tensor(tail), tree.tokens]
        positions += [torch.arange(len(tail)), len(tail) - 1 + tree.depths]
        block = torch.ones(len(tail) + nodes, len(tail) + nodes, dtype=torch.bool).tril_()
        block[len(tail) :, len(tail) :] = tree.sees
        blocks.append(block)
        wanted.append(torch.arange(start + len(tail) - 1, start + len(tail) + nodes))
        start += len(tail) + nodes
    hidden = student.hidden_after(
        prefix, torch.cat(ids), torch.cat(positions) + prefix.length, _diagonal(blocks)
    )
    states = hidden[torch.cat(wanted).to(hidden.device)]
    offsets = torch.arange(len(tails))[:, None] * (nodes + 1)
    rows = (offsets + tree.states).flatten()
    edges = student.log_probabilities(states, rows, tree.targets.repeat(len(tails)))
    return tree.answer_log_probabilities(edges.view(len(tails), -1))


def _diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """Square blocks laid along the diagonal; nothing else is seen."""
    size = sum(len(block) for block in blocks)
    mask = torch.zeros(size, size, dtype=torch.bool)
    start = 0
    for block in blocks:
        mask[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    return mask


def _naming(tree: AnswerTree, renderer: Renderer) -> Tensor:
    """Which answers name which category, and last which name any, (C + 1, A) bool."""
    naming = [[code in labels for labels in tree.answers] for code in renderer.policy.codes]
    return torch.tensor([*naming, [bool(labels) for labels in tree.answers]])


def _probabilities(answers: Tensor, named: Tensor) -> np.ndarray[Any, Any]:
    """Answers' log probabilities (B, A) to p_<code>…, any_violation and valid_mass, (B, C + 2)."""
    answers = answers.double()
    valid = torch.logsumexp(answers, dim=1)
    nothing = torch.tensor(float("-inf"), dtype=answers.dtype)
    of_category = torch.logsumexp(torch.where(named[None], answers[:, None, :], nothing), dim=2)
    columns = torch.cat([(of_category - valid[:, None]).exp(), valid.exp()[:, None]], dim=1)
    # Rounding can carry a sum of probabilities a hair past one.
    return columns.clamp(0.0, 1.0).numpy()
