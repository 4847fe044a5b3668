"""Attention in two parts equals dense attention under the mask."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from training import attention_products
from training.attention import Segments, packed_attention, shared_prefix_mask


def test_the_mask_is_the_one_that_is_drawn() -> None:
    mask = shared_prefix_mask(2, [1, 2])
    assert mask.int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    ("prefix", "lengths", "heads", "key_heads"),
    [
        (7, (5, 3, 9), 4, 2),
        (40, (1, 33, 2, 17), 6, 2),
        (0, (4, 6), 2, 2),
        (5, (3,), 2, 1),
        (300, (70, 64, 1, 90, 33), 3, 1),
    ],
)
def test_output_and_gradients_equal_dense_attention(
    prefix: int, lengths: tuple[int, ...], heads: int, key_heads: int
) -> None:
    torch.manual_seed(0)
    segments = Segments(prefix, lengths)
    tokens = prefix + sum(lengths)
    given = [torch.randn(1, count, tokens, 16) for count in (heads, key_heads, key_heads)]
    wanted = torch.randn(1, heads, tokens, 16)
    found = []
    for packed in (True, False):
        query, key, value = (states.clone().requires_grad_() for states in given)
        if packed:
            output = packed_attention(query, key, value, segments, 0.3)
        else:
            repeated = (states.repeat_interleave(heads // key_heads, 1) for states in (key, value))
            output = scaled_dot_product_attention(query, *repeated, segments.mask, scale=0.3)
        torch.autograd.backward((output * wanted).sum())
        found.append([output.detach(), query.grad, key.grad, value.grad])
    for ours, dense in zip(*found, strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("scale", "heads"), [(0.125, 4), (0.3, 4), (0.125, 2)])
@pytest.mark.parametrize("peak", [1.0, 6.0])
@pytest.mark.parametrize("blocks", [1 << 20, 400])
def test_bf16_on_a_cpu_loses_no_more_than_rounding(
    scale: float, heads: int, peak: float, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With even weights (peak 1) and with scores of up to 50, where bf16 scores alone would be far off."""
    monkeypatch.setattr(attention_products, "_SCORES", blocks)
    torch.manual_seed(0)
    segments = Segments(90, (1, 33, 2, 40))
    tokens = 90 + sum(segments.lengths)
    given = [
        peak * torch.randn(1, heads, tokens, 16),
        peak * torch.randn(1, 2, tokens, 16),
        torch.randn(1, 2, tokens, 16),
    ]
    short = [states.to(torch.bfloat16).requires_grad_() for states in given]
    long = [states.detach().float().requires_grad_() for states in short]
    wanted = torch.randn(1, heads, tokens, 16).to(torch.bfloat16)
    outputs = [packed_attention(*states, segments, scale) for states in (short, long)]
    assert torch.equal(outputs[0], outputs[1].to(torch.bfloat16))
    torch.autograd.backward(outputs, [wanted, wanted.float()])
    for rounded, exact in zip(short, long, strict=True):
        assert rounded.grad is not None and exact.grad is not None
        assert (rounded.grad - exact.grad).norm() < 0.012 * exact.grad.norm()
