"""All valid answers of a policy as one tree of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import torch
from torch import Tensor

from training.errors import LastingError
from training.policy import label_sets
from training.prompt import Form, Renderer


class ScoringError(LastingError):
    """Posts cannot be scored; the message says why."""


@dataclass(frozen=True, slots=True)
class AnswerTree:
    """The answers' tokens with common beginnings shared. Node 0 is the prompt's last token.

    Attributes:
        answers: the labels (category codes) of each answer, A in all; () is "none".
        tokens: (N + 1,) the token of each node, which is fed; what closes an answer is only predicted.
        depths: (N + 1,) steps from the prompt's last token.
        states: (E,) the node whose output predicts each edge, in rising order.
        targets: (E,) the token of each edge.
        paths: (A, L) the edges of each answer, filled up with E, which stands for "no edge".
        ways: (N + 1, L) the edges to each node, filled up likewise.
        ancestors: (N + 1, L) what each node sees: the nodes on the way to it, and itself, which fills up.
        forced: (N + 1,) the node before it where nothing else can follow that, else itself.
        alone: (N + 1,) True on the ways of the answers that name one category or none.
    """

    answers: tuple[tuple[str, ...], ...]
    tokens: Tensor
    depths: Tensor
    states: Tensor
    targets: Tensor
    paths: Tensor
    ways: Tensor
    ancestors: Tensor
    forced: Tensor
    alone: Tensor

    @property
    def nodes(self) -> int:
        """How many tokens can be fed behind the prompt, N."""
        return len(self.tokens) - 1

    @property
    def depth(self) -> int:
        """Tokens of the longest answer, what closes it included."""
        return self.paths.shape[1]

    def answer_log_probabilities(self, edges: Tensor) -> Tensor:
        """Sum the edges' log probabilities (…, E) along each answer, (…, A)."""
        return _summed(edges, self.paths)

    def node_log_probabilities(self, edges: Tensor) -> Tensor:
        """Sum them along the way to each node, (…, N + 1)."""
        return _summed(edges, self.ways)

    def edges_of(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """The edges that nodes (K,) predict: for each the place of its node in `nodes`, and its number."""
        first = torch.searchsorted(self.states, nodes)
        counts = torch.searchsorted(self.states, nodes, right=True) - first
        places = torch.repeat_interleave(torch.arange(len(nodes)), counts)
        within = torch.arange(len(places)) - (counts.cumsum(0) - counts)[places]
        return places, first[places] + within


def _summed(edges: Tensor, paths: Tensor) -> Tensor:
    nothing = torch.zeros(*edges.shape[:-1], 1, dtype=edges.dtype)
    return torch.cat([edges, nothing], dim=-1)[..., paths].sum(dim=-1)


_MOST_ANSWERS = 5000
"""More would take longer to score than they are worth; 99 categories in pairs fit."""


def answer_tree(renderer: Renderer, form: Form, max_labels: int) -> AnswerTree:
    """Build the tree for a renderer's policy.

    Raises:
        ScoringError: there are too many answers, or the tokenizer writes two of them alike.
    """
    categories = len(renderer.policy.codes)
    count = sum(comb(categories, size) for size in range(max_labels + 1))
    if count > _MOST_ANSWERS:
        raise ScoringError(
            f"{categories} categories with at most {max_labels} in an answer make {count} answers, "
            f"more than {_MOST_ANSWERS}; let fewer categories stand in one answer"
        )
    answers = label_sets(renderer.policy.codes, max_labels)
    nodes: dict[tuple[int, ...], int] = {(): 0}
    edges: dict[tuple[int, int], int] = {}
    paths: list[list[int]] = []
    for labels in answers:
        ids = renderer.label_ids(form, labels)
        path = []
        for depth, token in enumerate(ids):
            path.append(edges.setdefault((nodes[ids[:depth]], token), len(edges)))
            if depth + 1 < len(ids):
                nodes.setdefault(ids[: depth + 1], len(nodes))
        paths.append(path)
    if len({tuple(path) for path in paths}) < len(paths):
        raise ScoringError("the base model's tokenizer writes two of the policy's answers alike")
    return _tree(tuple(answers), list(nodes), list(edges), paths)


def _tree(
    answers: tuple[tuple[str, ...], ...],
    nodes: list[tuple[int, ...]],
    edges: list[tuple[int, int]],
    paths: list[list[int]],
) -> AnswerTree:
    number = {node: index for index, node in enumerate(nodes)}
    # Edges sorted by node, so that the head can go through the states in pieces.
    order = sorted(range(len(edges)), key=lambda edge: edges[edge][0])
    place = {edges[edge]: index for index, edge in enumerate(order)}
    states = [edges[edge][0] for edge in order]
    longest = max(len(path) for path in paths)

    def filled(path: Sequence[int], filling: int) -> list[int]:
        return [*path, *([filling] * (longest - len(path)))]

    on_the_way = [[number[node[:depth]] for depth in range(len(node) + 1)] for node in nodes]
    ways = [[place[number[node[:depth]], node[depth]] for depth in range(len(node))] for node in nodes]
    alone = {state for state, times in Counter(states).items() if times == 1}
    named_alone = {
        edges[edge][0]
        for labels, path in zip(answers, paths, strict=True)
        if len(labels) < 2
        for edge in path
    }
    before = [way[-2] if len(way) > 1 and way[-2] in alone else way[-1] for way in on_the_way]
    return AnswerTree(
        answers=answers,
        tokens=torch.tensor([-1, *(node[-1] for node in nodes[1:])]),
        depths=torch.tensor([len(node) for node in nodes]),
        states=torch.tensor(states),
        targets=torch.tensor([edges[edge][1] for edge in order]),
        paths=torch.tensor([filled([place[edges[edge]] for edge in path], len(edges)) for path in paths]),
        ways=torch.tensor([filled(way, len(edges)) for way in ways]),
        ancestors=torch.tensor([filled(way[1:] or way, way[-1]) for way in on_the_way]),
        forced=torch.tensor(before),
        alone=torch.tensor([number in named_alone for number in range(len(nodes))]),
    )
