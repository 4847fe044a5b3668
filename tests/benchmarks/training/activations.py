"""What a row of tokens keeps for its backward pass, counted without computing it.

    python -m tests.benchmarks.training.activations

The model is the shape of Llama 3.1 8B with LoRA of rank 16 on all linear layers in bf16, on
torch's "meta" device: tensors have shapes and no content, so that this takes seconds anywhere. The
attention matrix, which the GPU's kernels do not keep, grows with the square of a row's tokens and is
taken out by counting rows of two lengths. What is printed stands in docs/training.md.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

LAYERS = 32
SHAPE = {
    "vocab_size": 128_256,
    "hidden_size": 4_096,
    "intermediate_size": 14_336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8_192,
}
META = torch.device("meta")


def model_of(layers: int) -> Any:
    with META:
        base = LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, **SHAPE)).to(torch.bfloat16)
    base.requires_grad_(False)
    return get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=16, target_modules="all-linear")).eval()


def kept(layers: int, tokens: int) -> int:
    """Bytes that a row keeps beside the model's own weights."""
    model = model_of(layers)
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


def main() -> None:
    short, long = 512, 1_024
    per_layer = {tokens: (kept(2, tokens) - kept(1, tokens)) / tokens for tokens in (short, long)}
    # Bytes a token are a + b tokens; b is the attention matrix.
    attention = (per_layer[long] - per_layer[short]) / (long - short)
    token = per_layer[short] - attention * short
    weights = {name: weight.numel() for name, weight in model_of(LAYERS).named_parameters()}
    learned = sum(count for name, count in weights.items() if "lora_" in name)
    linear = sum(count for name, count in weights.items() if "proj" in name) - learned
    ends = sum(weights.values()) - learned - linear
    print(f"frozen weights: {linear:,} in linear layers, {ends:,} in embedding, head and norms")  # noqa: T201
    print(f"LoRA weights: {learned:,}")  # noqa: T201
    print(f"kept for a token: {token:,.0f} bytes a layer, {LAYERS * token / 1e6:.2f} MB in all")  # noqa: T201


if __name__ == "__main__":
    main()
