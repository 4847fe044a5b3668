"""The probability of every valid answer to posts, with as few branches computed as that takes.

Behind each post lies the tree of all answers (`training/answers.py`), and nearly all probability on a
few of its branches. An answer is never more probable than its beginning. So the tree is gone through
from the post, the most probable beginnings first, until those that were not gone on from hold no more
than `LEFT` of all probability, and no score can be off by more. Answers that name one category or none
are always computed: a category that the student hardly ever names keeps a score by which posts can be
told apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.answers import AnswerTree
from training.continuation import Continuation, Fed, Prefix
from training.student import Student

LEFT = 1e-6
"""The most that a probability may be off by for branches that are left out."""

_NOTHING = float("-inf")


def answer_log_probabilities(
    student: Student, tree: AnswerTree, prefix: Prefix, tails: Sequence[Sequence[int]]
) -> Tensor:
    """The log probability of every answer to each post, (B, A) in fp64; -inf where it was left out.

    Args:
        student: the model.
        tree: of the answers.
        prefix: what all posts follow.
        tails: what follows it of each post, up to its answer.
    """
    posts = Continuation(student, prefix, tails)
    return answers_behind(student, tree, posts, list(map(len, tails)), posts.last)


def answers_behind(
    student: Student, tree: AnswerTree, posts: Continuation, lengths: Sequence[int], last: Tensor
) -> Tensor:
    """The same of B posts that are computed already, as far as to where their answers begin.

    Args:
        student: the model.
        tree: of the answers.
        posts: what the answers lie behind.
        lengths: tokens of each behind the prefix; what is kept of it beyond is not seen.
        last: (B, D) the state of each post's last token.
    """
    search = _Search(student, tree, lengths)
    search.learn(torch.arange(len(lengths)), torch.zeros(len(lengths), dtype=torch.long), last)
    while len(pairs := search.worth_computing()):
        owners, nodes = pairs.T
        search.learn(owners, nodes, posts.go_on(search.fed(owners, nodes)))
    return tree.answer_log_probabilities(search.edges)


class _Search:
    """What is known by now of the trees behind B posts.

    Attributes:
        edges: (B, E) the log probability of each edge; -inf where its node was not computed.
    """

    def __init__(self, student: Student, tree: AnswerTree, lengths: Sequence[int]) -> None:
        self._student = student
        self._tree = tree
        self._lengths = torch.tensor(lengths)
        self._used = self._lengths.clone()
        self._slots = torch.zeros(len(lengths), tree.nodes + 1, dtype=torch.long)
        self._computed = torch.zeros(len(lengths), tree.nodes + 1, dtype=torch.bool)
        self.edges = torch.full((len(lengths), len(tree.targets)), _NOTHING, dtype=torch.float64)

    def learn(self, posts: Tensor, nodes: Tensor, hidden: Tensor) -> None:
        """Take in the states (K, D) of nodes (K,) of posts (K,)."""
        places, edges = self._tree.edges_of(nodes)
        found = self._student.log_probabilities(hidden, places, self._tree.targets[edges])
        self.edges[posts[places], edges] = found.double()
        self._computed[posts, nodes] = True

    def worth_computing(self) -> Tensor:
        """Pairs of post and node, (K, 2) in rising order; none where enough is known.

        The most probable beginnings are taken, as few as leave at most `LEFT` to the others.
        """
        reached = self._tree.node_log_probabilities(self.edges).masked_fill(self._computed, _NOTHING)
        found = self._tree.answer_log_probabilities(self.edges)
        likeliest = torch.maximum(reached.amax(1), found.amax(1))[:, None]
        ascending, order = (reached - likeliest).exp().sort(dim=1)
        total = ascending.sum(1) + (found - likeliest).exp().sum(1)
        worth = torch.zeros_like(self._computed)
        worth.scatter_(1, order, ascending.cumsum(1) > LEFT * total[:, None])
        worth |= self._tree.alone
        # What must follow is computed at once with what it follows.
        for _ in range(self._tree.depth):
            worth |= worth[:, self._tree.forced]
        return (worth & ~self._computed).nonzero()

    def fed(self, posts: Tensor, nodes: Tensor) -> Fed:
        """Nodes (K,) of posts (K,) as tokens to go on with."""
        _, counts = torch.unique_consecutive(posts, return_counts=True)
        places = torch.cat([torch.arange(count) for count in counts.tolist()])
        slots = self._used[posts] + places
        self._slots[posts, nodes] = slots
        self._used.index_add_(0, posts, torch.ones_like(posts))
        sees = torch.arange(int(self._used[posts].max())) < self._lengths[posts][:, None]
        ancestors = self._slots[posts[:, None], self._tree.ancestors[nodes]]
        sees.scatter_(1, ancestors, value=True)
        tree = self._tree
        return Fed(posts, tree.tokens[nodes], self._lengths[posts] + tree.depths[nodes] - 1, slots, sees)
