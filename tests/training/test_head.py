"""The loss of learned tokens and its gradient equal cross-entropy over all logits."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from training import head as training_head
from training.head import is_plain, token_losses


@pytest.fixture
def head() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(16, 300, bias=False).requires_grad_(False)


@pytest.mark.parametrize("rows", [4, 512])
@pytest.mark.parametrize("bias", [False, True])
def test_losses_and_gradients_equal_cross_entropy(
    head: torch.nn.Linear, rows: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_head, "HEAD_ROWS", rows)
    if bias:
        head.bias = torch.nn.Parameter(torch.randn(300), requires_grad=False)
    targets, weights = torch.randint(300, (11,)), torch.rand(11)
    found = []
    for ours in (True, False):
        states = (3 * torch.randn(11, 16, generator=torch.Generator().manual_seed(1))).requires_grad_()
        plain = cross_entropy(linear(states, head.weight, head.bias), targets, reduction="none")
        losses = token_losses(states, head, targets) if ours else plain
        torch.autograd.backward((losses * weights).sum())
        found.append((losses.detach(), states.grad))
    for our, wanted in zip(*found, strict=True):
        torch.testing.assert_close(our, wanted, rtol=1e-5, atol=1e-6)


def test_in_bf16_the_gradient_of_a_token_that_is_well_known_is_not_lost(head: torch.nn.Linear) -> None:
    """Where P is .999 the gradient is a thousandth of a weight; a weight rounded to bf16 is further off."""
    short = torch.nn.Linear(16, 300, bias=False, dtype=torch.bfloat16).requires_grad_(False)
    short.weight.copy_(head.weight)
    target = torch.tensor([7])
    states = (60 * short.weight[target]).detach()
    long = states.float().requires_grad_()
    exact = cross_entropy(linear(long, short.weight.float()), target)
    assert 1e-4 < exact.item() < 1e-2
    states.requires_grad_()
    torch.autograd.backward([exact, token_losses(states, short, target).sum()])
    assert states.grad is not None and long.grad is not None
    assert (states.grad - long.grad).norm() < 0.05 * long.grad.norm()


def test_a_head_that_learns_is_left_to_autograd(head: torch.nn.Linear) -> None:
    assert is_plain(head)
    assert not is_plain(head.requires_grad_())
    assert not is_plain(torch.nn.Sequential(head.requires_grad_(False)))
