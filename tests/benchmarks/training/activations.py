"""What a row of tokens keeps for its backward pass, counted without computing it.

    python -m tests.benchmarks.training.activations

The model is the shape of Llama 3.1 8B with LoRA of rank 16 on all linear layers in bf16, on
torch's "meta" device: tensors have shapes and no content, so that this takes seconds anywhere. The
attention matrix, which the GPU's kernels do not keep, grows with the square of a row's tokens and is
taken out by counting rows of two lengths. LoRA is counted as Overrule computes it, and as peft does,
which is what QLoRA uses. What is printed stands in docs/training.md.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from training.lora import use_lean_lora

LAYERS = 32
SHORT, LONG = 512, 1_024
SHAPE = {
    "vocab_size": 128_256,
    "hidden_size": 4_096,
    "intermediate_size": 14_336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8_192,
}
META = torch.device("meta")


def model_of(layers: int, *, lean: bool = True) -> Any:
    with META:
        base = LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, **SHAPE)).to(torch.bfloat16)
    base.requires_grad_(False)
    lora = LoraConfig(task_type="CAUSAL_LM", r=16, target_modules="all-linear")
    model = get_peft_model(base, lora).eval()
    if lean:
        use_lean_lora(model)
    return model


def kept(layers: int, tokens: int, *, lean: bool) -> int:
    """Bytes that a row keeps beside the model's own weights."""
    model = model_of(layers, lean=lean)
    own = {weight.untyped_storage()._cdata for weight in (*model.parameters(), *model.buffers())}
    found: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Held on to, so that no other storage can take its place.
        found[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.get_base_model().get_decoder()(
            input_ids=torch.zeros(1, tokens, dtype=torch.long, device=META),
            position_ids=torch.arange(tokens, device=META)[None],
            attention_mask=torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device=META),
            use_cache=False,
        )
    return sum(tensor.untyped_storage().nbytes() for storage, tensor in found.items() if storage not in own)


def kept_for_a_token(*, lean: bool) -> float:
    """Bytes in one layer."""
    short, long = (
        (kept(2, tokens, lean=lean) - kept(1, tokens, lean=lean)) / tokens for tokens in (SHORT, LONG)
    )
    # A token's bytes are a + b tokens of the row; b is the attention matrix.
    return short - (long - short) / (LONG - SHORT) * SHORT


def main() -> None:
    weights = {name: weight.numel() for name, weight in model_of(LAYERS).named_parameters()}
    learned = sum(count for name, count in weights.items() if "lora_" in name)
    linear = sum(count for name, count in weights.items() if "proj" in name) - learned
    ends = sum(weights.values()) - learned - linear
    lines = [
        f"frozen weights: {linear:,} in linear layers, {ends:,} in embedding, head and norms",
        f"LoRA weights: {learned:,}",
    ]
    for name, lean in (("Overrule's", True), ("peft's", False)):
        token = kept_for_a_token(lean=lean)
        all_layers = LAYERS * token / 1e6
        lines.append(
            f"{name} LoRA keeps {token:,.0f} bytes for a token and layer, {all_layers:.2f} MB in all"
        )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
