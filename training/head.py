"""The loss of learned tokens and its gradient, in one pass over the head's logits.

A vocabulary's logits are the largest thing that a step computes: 512 tokens of the default model take
100 MB. As autograd has it they are computed, kept or computed again for the backward pass, and gone
through seven times. Here each chunk's are there once: they give the loss, and what remains of them,
softmax less one at the learned token, gives the gradient by the states while they are at hand. The
head is frozen, so nothing else needs them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.rows import HEAD_ROWS


class _TokenLosses(torch.autograd.Function):
    """-log P(target | state) for a head whose weights are frozen."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        by_states = torch.empty(states.shape, dtype=torch.float32, device=states.device)
        for start in range(0, len(states), HEAD_ROWS):
            chunk = slice(start, start + HEAD_ROWS)
            logits = functional.linear(states[chunk], weight, bias).float()
            at, target = torch.arange(len(logits), device=logits.device), targets[chunk]
            of_targets, total = exponentiated(logits, at, target)
            losses[chunk] = total.log() - of_targets
            if ctx.needs_input_grad[0]:
                # Before anything is rounded, for at a token that is well known hardly anything is left.
                logits[at, target] -= total
                by_states[chunk] = (logits.to(weight.dtype) @ weight).float().div_(total[:, None])
        ctx.save_for_backward(by_states)
        ctx.dtype = states.dtype
        return losses

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (by_states,) = ctx.saved_tensors
        return (by_states * gradient[:, None]).to(ctx.dtype), None, None, None


def exponentiated(logits: Tensor, rows: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Put exp(logit - the row's largest) in the place of logits (N, V).

    In place, because a vocabulary's logits are more than caches hold, and each copy of them takes as
    long as a third of the product that made them.

    Returns:
        logit - the row's largest for pairs of a row and a token, (E,), and each row's sum, (N,).
    """
    logits -= logits.amax(dim=-1, keepdim=True)
    of_tokens = logits[rows, tokens]
    return of_tokens, logits.exp_().sum(dim=-1)


def is_plain(head: torch.nn.Module) -> bool:
    """Whether it is a linear layer whose weights do not learn."""
    return type(head) is torch.nn.Linear and not any(weight.requires_grad for weight in head.parameters())


def token_losses(states: Tensor, head: torch.nn.Linear, targets: Tensor) -> Tensor:
    """The loss of each learned token, in fp32.

    Args:
        states: (L, D) hidden states.
        head: a plain one.
        targets: (L,) the tokens learned from them.

    Returns:
        (L,).
    """
    losses: Tensor = _TokenLosses.apply(states, head.weight, head.bias, targets)  # type: ignore[no-untyped-call]
    return losses
