"""Base models that packed rows would compute wrongly are refused, others are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.tiny_model import make_tiny_model
from training import methods
from training.job import Config
from training.student import StudentError

CPU = torch.device("cpu")
SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def made(folder: Path, kind: str, **fields: Any) -> Path:
    config = AutoConfig.for_model(kind, **(SMALL | fields))
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def begin(folder: Path) -> None:
    methods.begin(folder, Config(precision="float32", rank=2, alpha=4, max_length=64), CPU, "it")


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "olmo2"])
def test_a_family_that_is_computed_alike_is_taken(tmp_path: Path, kind: str) -> None:
    begin(made(tmp_path, kind, **({"head_dim": 8} if kind == "qwen3" else {})))


def test_tokens_that_were_never_trained_do_not_decide(tmp_path: Path) -> None:
    folder = made(tmp_path, "llama")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.get_input_embeddings().weight[:16] = torch.nan
    model.save_pretrained(folder)
    begin(folder)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        # Its layers pass on nothing that they do not know.
        ("stablelm", {}),
        # A state goes from token to token.
        ("mamba", {"state_size": 4}),
    ],
)
def test_a_family_that_rows_of_many_posts_would_compute_wrongly_is_refused(
    tmp_path: Path, kind: str, fields: dict[str, Any]
) -> None:
    folder = made(tmp_path, kind, **fields)
    with pytest.raises(StudentError, match=f"kind '{kind}'.*choose a base model of another family"):
        methods.load(folder, None, Config(precision="float32"), CPU, 64)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda states: states + 1e-2 * torch.randn_like(states),
        lambda states: states[:-1],
    ],
)
def test_states_that_are_others_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    hidden = methods.Student.hidden
    monkeypatch.setattr(methods.Student, "hidden", lambda self, row: spoil(hidden(self, row)))
    with pytest.raises(StudentError, match="kind 'llama'"):
        begin(make_tiny_model(tmp_path))


def test_logits_that_are_more_than_the_head_over_the_states_are_noticed(tmp_path: Path) -> None:
    folder = made(tmp_path, "cohere", logit_scale=0.5)
    with pytest.raises(StudentError, match="kind 'cohere' treat their logits"):
        begin(folder)
