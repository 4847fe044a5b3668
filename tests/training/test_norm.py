"""The leaner RMSNorm equals transformers'."""

from __future__ import annotations

import pytest
import torch
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from training.norm import use_lean_norms


def _norm(dtype: torch.dtype) -> torch.nn.Module:
    norm = LlamaRMSNorm(48, eps=1e-5).requires_grad_(False)
    torch.nn.init.uniform_(norm.weight, 0.5, 2)
    return norm.to(dtype)


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_states_and_gradients_are_the_same(dtype: torch.dtype, apart: float) -> None:
    torch.manual_seed(0)
    norm = _norm(dtype)
    states = torch.randn(2, 7, 48).to(dtype)
    wanted = torch.randn(2, 7, 48).to(dtype)
    found = []
    for lean in (False, True):
        if lean:
            assert use_lean_norms(torch.nn.Sequential(norm)) == 1
        given = states.clone().requires_grad_()
        output = norm(given)
        output.backward(wanted)
        assert given.grad is not None
        assert torch.equal(given, states), "the states that came in are as they were"
        found.append((output, given.grad))
    (output, gradient), (lean_output, lean_gradient) = found
    assert torch.equal(lean_output, output)
    assert lean_gradient.dtype == dtype
    assert (lean_gradient - gradient).norm() <= apart * gradient.norm()


@pytest.mark.parametrize("norm", [GemmaRMSNorm(48), torch.nn.RMSNorm(48), torch.nn.LayerNorm(48)])
def test_one_that_is_something_else_stays_as_it_is(norm: torch.nn.Module) -> None:
    """Gemma adds 1 to the weights; the others are no family's."""
    torch.nn.init.uniform_(norm.get_parameter("weight"), 0.5, 2)
    assert use_lean_norms(torch.nn.Sequential(norm)) == 0


def test_a_weight_that_is_to_learn_gets_its_gradient() -> None:
    norm = _norm(torch.float32)
    use_lean_norms(torch.nn.Sequential(norm))
    norm.requires_grad_(True)
    norm(torch.randn(2, 48)).sum().backward()
    assert norm.get_parameter("weight").grad is not None
