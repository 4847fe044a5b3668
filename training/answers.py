"""All valid answers of a policy as one tree of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import torch
from torch import Tensor

from training.policy import label_sets
from training.prompt import Form, Renderer


class ScoringError(Exception):
    """Posts cannot be scored; the message says why."""


@dataclass(frozen=True, slots=True)
class AnswerTree:
    """The answers' tokens with common beginnings shared. Node 0 is the prompt's last token.

    Attributes:
        answers: the labels (category codes) of each answer, A in all; () is "none".
        tokens: (N,) the tokens that are fed, for the nodes 1 … N; what closes an answer is only predicted.
        depths: (N,) steps from the prompt's last token, from 1.
        sees: (N, N) True where a node sees another: its ancestors and itself.
        states: (E,) the node (0 … N) whose output predicts each edge, in rising order.
        targets: (E,) the token of each edge.
        paths: (A, L) the edges of each answer, filled up with E, which stands for "no edge".
    """

    answers: tuple[tuple[str, ...], ...]
    tokens: Tensor
    depths: Tensor
    sees: Tensor
    states: Tensor
    targets: Tensor
    paths: Tensor

    @property
    def depth(self) -> int:
        """Tokens of the longest answer, what closes it included."""
        return self.paths.shape[1]

    def answer_log_probabilities(self, edges: Tensor) -> Tensor:
        """Sum the edges' log probabilities (…, E) along each answer, (…, A)."""
        nothing = torch.zeros(*edges.shape[:-1], 1, dtype=edges.dtype)
        return torch.cat([edges, nothing], dim=-1)[..., self.paths].sum(dim=-1)


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
    sees = torch.zeros(len(nodes) - 1, len(nodes) - 1, dtype=torch.bool)
    for index, node in enumerate(nodes[1:]):
        for depth in range(1, len(node) + 1):
            sees[index, number[node[:depth]] - 1] = True
    # Edges sorted by node, so that the head can go through the states in pieces.
    order = sorted(range(len(edges)), key=lambda edge: edges[edge][0])
    place = {edge: index for index, edge in enumerate(order)}
    longest = max(len(path) for path in paths)
    filled = [[place[edge] for edge in path] + [len(edges)] * (longest - len(path)) for path in paths]
    return AnswerTree(
        answers=answers,
        tokens=torch.tensor([node[-1] for node in nodes[1:]], dtype=torch.long),
        depths=torch.tensor([len(node) for node in nodes[1:]], dtype=torch.long),
        sees=sees,
        states=torch.tensor([edges[edge][0] for edge in order]),
        targets=torch.tensor([edges[edge][1] for edge in order]),
        paths=torch.tensor(filled),
    )
