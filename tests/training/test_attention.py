"""Attention in two parts equals dense attention under the mask."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from training import attention, attention_products
from training import segments as segments_module
from training.attention import attend_under, packed_attention
from training.segments import Segments, shared_prefix_mask


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
@pytest.mark.parametrize("worth", [1, 10**9])
def test_output_and_gradients_equal_dense_attention(
    prefix: int,
    lengths: tuple[int, ...],
    heads: int,
    key_heads: int,
    worth: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also with each length in a call of its own, and with all padded to the longest."""
    monkeypatch.setattr(segments_module, "_WORTH_A_CALL", worth)
    segments_module._padding.cache_clear()
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


def test_examples_of_like_lengths_are_padded_together() -> None:
    lengths = (40, 400, 50, 45, 380)
    as_one, alike = (
        Segments(7, lengths).padding(torch.device("cpu"), alike=alike) for alike in (False, True)
    )
    assert as_one.shapes == ((5, 400),)
    assert alike.shapes == ((3, 50), (2, 400))
    states = torch.randn(1, 2, sum(lengths), 4)
    short, long = alike.padded(states)
    # From the shortest to the longest.
    assert torch.equal(short[1, :, :45], states[0, :, 490:535]) and not short[1, :, 45:].any()
    assert torch.equal(long[1], states[0, :, 40:440])
    for padding in (as_one, alike):
        assert torch.equal(padding.unpadded(padding.padded(states)), states)
    # A call of its own for so little padding would take longer than it saves.
    assert Segments(7, (40, 50)).padding(torch.device("cpu"), alike=True).shapes == ((2, 50),)


@pytest.mark.parametrize(("scale", "heads"), [(0.125, 4), (0.3, 4), (0.125, 2)])
@pytest.mark.parametrize("peak", [1.0, 6.0])
@pytest.mark.parametrize("blocks", [1 << 20, 400])
@pytest.mark.parametrize("tiles", [False, True])
@pytest.mark.parametrize("longest", [40, 70])
def test_bf16_on_a_cpu_loses_no_more_than_rounding(
    scale: float,
    heads: int,
    peak: float,
    blocks: int,
    tiles: bool,
    longest: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With even weights (peak 1) and with scores of up to 50, where bf16 scores alone would be far off.

    As processors with units for tiles compute it and as others do, and with gradients over few keys and many.
    """
    monkeypatch.setattr(attention_products, "_SCORES", blocks)
    monkeypatch.setattr(attention, "has_bf16_tiles", lambda: tiles)
    torch.manual_seed(0)
    segments = Segments(90, (1, 33, 2, longest))
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
    if tiles:
        assert (outputs[0] - outputs[1]).norm() < 0.004 * outputs[1].norm()
    else:
        assert torch.equal(outputs[0], outputs[1].to(torch.bfloat16))
    torch.autograd.backward(outputs, [wanted, wanted.float()])
    for rounded, exact in zip(short, long, strict=True):
        assert rounded.grad is not None and exact.grad is not None
        assert (rounded.grad - exact.grad).norm() < 0.012 * exact.grad.norm()


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 0.01)])
@pytest.mark.parametrize("tiles", [False, True])
def test_attention_under_any_mask_equals_dense_attention(
    dtype: torch.dtype, most: float, tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "has_bf16_tiles", lambda: tiles)
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, heads, length, 16) for heads, length in ((4, 5), (2, 40), (2, 40)))
    query, key, value = (states.to(dtype) for states in (query, key, value))
    sees = torch.rand(3, 5, 40) < 0.5
    sees[:, :, 0] = True
    output, lse = attend_under(sees, query, key, value, 0.3)
    keys, values = (states.float().repeat_interleave(2, 1) for states in (key, value))
    scores = (query.float() @ keys.transpose(2, 3) * 0.3).masked_fill(~sees[:, None], float("-inf"))
    torch.testing.assert_close(lse, scores.logsumexp(-1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.float(), scores.softmax(-1) @ values, rtol=most, atol=most)
