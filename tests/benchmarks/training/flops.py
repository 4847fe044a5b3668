"""How many floating-point operations a step truly needs.

As issue 3 counts them: the policy once in each row, each example's own tokens once, the head on
learned tokens only. A token costs 4 for each frozen and 6 for each trained parameter (2 forward,
2 backward through it, 2 more for a trained one's own gradient); attention costs 12 for each pair of
a query and a key that it sees, and each of the model's attention dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from tests.benchmarks.training.task import Tokens


@dataclass(frozen=True)
class Shape:
    """What of a Llama-like model counts.

    Attributes:
        layers: how many.
        linear: (inputs, outputs) of each linear layer of one layer.
        attention: heads times their size.
        head: (inputs, outputs) of the language model's head.
    """

    layers: int
    linear: tuple[tuple[int, int], ...]
    attention: int
    head: tuple[int, int]

    @classmethod
    def of(cls, model: Path) -> Shape:
        """Of a folder's configuration.

        Raises:
            ValueError: it is no Llama-like model, whose parameters are not known here.
        """
        config = AutoConfig.from_pretrained(model, local_files_only=True)
        if config.model_type not in {"llama", "mistral", "qwen2", "qwen3", "smollm3"}:
            raise ValueError(
                f"the linear layers of models of the kind {config.model_type!r} are not known here"
            )
        size, inner = config.hidden_size, config.intermediate_size
        head_size = getattr(config, "head_dim", None) or size // config.num_attention_heads
        queries = head_size * config.num_attention_heads
        keys = head_size * config.num_key_value_heads
        return cls(
            layers=config.num_hidden_layers,
            linear=(
                (size, queries),
                (size, keys),
                (size, keys),
                (queries, size),
                (size, inner),
                (size, inner),
                (inner, size),
            ),
            attention=queries,
            head=(size, config.vocab_size),
        )

    @property
    def frozen(self) -> int:
        """Frozen parameters that every token meets: those of all linear layers but the head."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear)

    def trained(self, rank: int) -> int:
        """LoRA parameters on all linear layers but the head."""
        return self.layers * sum(rank * (inputs + outputs) for inputs, outputs in self.linear)


def seen_pairs(examples: Iterable[Tokens], rows: int) -> int:
    """Pairs of a query and a key that it sees; the policy's own are counted once in each row."""
    pairs = prefix = 0
    for example in examples:
        prefix = example.prefix
        own = len(example.ids) - prefix
        pairs += own * prefix + own * (own + 1) // 2
    return pairs + rows * prefix * (prefix + 1) // 2


def needed(examples: Iterable[Tokens], rows: int, shape: Shape, rank: int) -> float:
    """Floating-point operations of learning these examples once.

    Args:
        examples: all with the same policy before them.
        rows: how often the policy is computed.
        shape: the model.
        rank: of its LoRA weights.
    """
    examples = list(examples)
    prefix = examples[0].prefix
    body = rows * prefix + sum(len(example.ids) - prefix for example in examples)
    learned = sum(example.answer for example in examples)
    inputs, vocabulary = shape.head
    return float(
        body * (4 * shape.frozen + 6 * shape.trained(rank))
        + learned * 4 * inputs * vocabulary
        + 12 * shape.layers * shape.attention * seen_pairs(examples, rows)
    )
