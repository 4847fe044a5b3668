"""Attention in two parts equals dense attention under the mask."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

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


def test_bf16_is_computed_in_fp32_on_a_cpu() -> None:
    torch.manual_seed(0)
    segments = Segments(40, (1, 33, 2))
    given = [torch.randn(1, heads, 76, 16).to(torch.bfloat16) for heads in (4, 2, 2)]
    exact = packed_attention(*(states.float() for states in given), segments, 0.3)
    assert torch.equal(packed_attention(*given, segments, 0.3), exact.to(torch.bfloat16))
