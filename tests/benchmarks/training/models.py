"""Models made on the spot, for trials and for speed alone: their weights are random."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from transformers import LlamaConfig, LlamaForCausalLM

from tests.tiny_model import make_tiny_model

_LLAMA_8B: dict[str, Any] = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
}
"""The shape of Llama 3 8B."""

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def make(shape: str, tokenizer_of: Path, device: torch.device) -> Path:
    """The folder of a model of this shape, made once in the user's cache.

    Args:
        shape: "tiny" or "llama-8b".
        tokenizer_of: the model whose tokenizer the large one gets; the tiny one has its own.
        device: where its random weights are drawn.
    """
    folder = user_cache_path("overrule") / "benchmarks" / "models" / shape
    if (folder / "ready").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    if shape == "tiny":
        make_tiny_model(folder)
    else:
        _make_llama(folder, _LLAMA_8B, tokenizer_of, device)
    (folder / "ready").touch()
    return folder


def _make_llama(folder: Path, shape: dict[str, Any], tokenizer_of: Path, device: torch.device) -> None:
    """A Llama in bf16; it takes 16 GB of the device's memory and of the disk."""
    folder.mkdir(parents=True)
    for name in _TOKENIZER_FILES:
        if (tokenizer_of / name).is_file():
            shutil.copy(tokenizer_of / name, folder)
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(LlamaConfig(**shape, bos_token_id=1, eos_token_id=2, pad_token_id=2))
    finally:
        torch.set_default_dtype(usual)
    model.save_pretrained(folder)
