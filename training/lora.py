"""A leaner LoRA linear: the same mathematics as peft's, in fewer passes over memory.

peft computes y = xW' + s (xA')B' as five operations with three intermediate results of the size of
y, each kept for the backward pass. Here the update is accumulated into y by the matrix product
itself, and only x and xA' (T, r) are kept. Everything else about adapters (making, naming, saving,
switching off, merging) stays peft's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor
from torch.nn import functional


class _LoraLinear(torch.autograd.Function):
    """y = xW' + b + s (xA')B' with W and b frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        # In the frozen weights' type, as the rest of the layer is computed; fp32 stays fp32.
        a, b = a.to(weight.dtype), b.to(weight.dtype)
        reduced = flat @ a.T
        output = functional.linear(flat, weight, bias)
        output.addmm_(reduced, b.T, alpha=scale)
        ctx.save_for_backward(flat, reduced, weight, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        flat, reduced, weight, a, b = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        d_reduced = gradient @ b
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = gradient @ weight
            d_x.addmm_(d_reduced, a, alpha=ctx.scale)
            d_x = d_x.view(ctx.shape)
        d_a = (d_reduced.T @ flat).float().mul_(ctx.scale)
        d_b = (gradient.T @ reduced).float().mul_(ctx.scale)
        return d_x, None, None, d_a, d_b, None


def use_lean_lora(model: torch.nn.Module) -> int:
    """Compute a peft model's plain LoRA layers this way; return how many there are.

    Layers that are more than that (DoRA, dropout, a quantised base, several adapters) stay peft's.
    """
    lean = [module for module in model.modules() if _is_plain(module)]
    for module in lean:
        module.forward = _Lean(module)
    return len(lean)


@contextmanager
def summed(model: torch.nn.Module, room: float) -> Iterator[None]:
    """Within, lean layers in fp32 multiply by one matrix, W + s BA, in place of three.

    The base model's weights stay as they are, beside the sums, so that nothing is rounded for good.
    Shorter types keep their three products: a sum would be rounded to their few digits.

    Args:
        model: a peft model whose LoRA layers are lean.
        room: bytes that the sums may take; where they would take more nothing changes.
    """
    lean = [module.forward for module in model.modules() if isinstance(module.forward, _Lean)]
    lean = [each for each in lean if each.weight.dtype == torch.float32]
    if sum(each.weight.nbytes for each in lean) > room:
        lean = []
    try:
        for each in lean:
            each.sum_up()
        yield
    finally:
        for each in lean:
            each.sum = None


def _is_plain(module: Any) -> bool:
    return (
        type(module) is PeftLinear
        and type(module.get_base_layer()) is torch.nn.Linear
        and list(module.lora_A) == ["default"]
        and not module.lora_variant
        and isinstance(module.lora_dropout["default"], torch.nn.Identity)
        and not module.lora_bias["default"]
    )


class _Lean:
    """Stands in for a layer's `forward`; asks the layer what holds at each call.

    Attributes:
        sum: W + s BA, while it is there.
    """

    def __init__(self, layer: PeftLinear) -> None:
        self._layer = layer
        self.sum: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """The frozen W."""
        weight: Tensor = self._layer.get_base_layer().weight
        return weight

    @torch.no_grad()
    def sum_up(self) -> None:
        """Compute the sum, which later changes of the LoRA weights do not reach."""
        self.sum = self.weight.addmm(self._b, self._a, alpha=self._scale)

    def __call__(self, x: Tensor) -> Tensor:
        layer = self._layer
        if layer.disable_adapters or layer.merged:
            plain: Tensor = PeftLinear.forward(layer, x)
            return plain
        bias = layer.get_base_layer().bias
        if self.sum is not None:
            return functional.linear(x, self.sum, bias)
        output: Tensor = _LoraLinear.apply(  # type: ignore[no-untyped-call]
            x, self.weight, bias, self._a, self._b, self._scale
        )
        return output

    @property
    def _a(self) -> Tensor:
        a: Tensor = self._layer.lora_A["default"].weight
        return a

    @property
    def _b(self) -> Tensor:
        b: Tensor = self._layer.lora_B["default"].weight
        return b

    @property
    def _scale(self) -> float:
        scale: float = self._layer.scaling["default"]
        return scale
