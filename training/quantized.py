"""QLoRA's base model: its frozen weights in 4 bits (Dettmers et al. 2023, arXiv 2305.14314)."""

from __future__ import annotations

import torch
from transformers import BitsAndBytesConfig
from transformers.utils import is_bitsandbytes_available

from training.errors import LastingError


class QuantizationError(LastingError):
    """A base model cannot be kept in 4 bits here; the message says what to do."""


def require_4bit(device: torch.device) -> None:
    """Refuse QLoRA where it cannot be computed.

    Raises:
        QuantizationError: no GPU is used, or the package is missing.
    """
    if device.type != "cuda":
        raise QuantizationError(
            "the method qlora keeps the base model in 4 bits, which needs a GPU, and none is used here; "
            "choose the method lora, or run the job on a machine with a GPU"
        )
    if not is_bitsandbytes_available():
        raise QuantizationError(
            "the method qlora needs the package bitsandbytes, which is not installed or too old; "
            'install it with pip install "overrule[qlora]", or choose the method lora'
        )


def nf4() -> BitsAndBytesConfig:
    """The paper's setting: 4-bit NormalFloat, its scales quantised too, computed in bf16."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
