"""A leaner LoRA linear: the same mathematics as peft's, in fewer passes over memory.

peft computes y = xW' + s (xA')B' as five operations with three intermediate results of the size of
y, each kept for the backward pass. Here the update is accumulated into y by the matrix product
itself, and only x and xA' (T, r) are kept. Everything else about adapters (making, naming, saving,
switching off, merging) stays peft's.
"""

from __future__ import annotations

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
    """Stands in for a layer's `forward`; asks the layer what holds at each call."""

    def __init__(self, layer: PeftLinear) -> None:
        self._layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        layer = self._layer
        if layer.disable_adapters or layer.merged:
            plain: Tensor = PeftLinear.forward(layer, x)
            return plain
        base = layer.get_base_layer()
        output: Tensor = _LoraLinear.apply(  # type: ignore[no-untyped-call]
            x,
            base.weight,
            base.bias,
            layer.lora_A["default"].weight,
            layer.lora_B["default"].weight,
            layer.scaling["default"],
        )
        return output
