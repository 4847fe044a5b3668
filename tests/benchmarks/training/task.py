"""What every contestant is given, and what it tells of a turn.

It runs in every environment, so it imports nothing but Python's own. A turn is one pass over the
same examples, so that every turn of every contestant is the same work. The first is the warm-up;
it is not counted, but its first step's loss is checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

IGNORED = -100
"""The label of a token that is not learned, in every peer."""


@dataclass(frozen=True)
class Tokens:
    """One example as it is given to everyone: the same ids, and how many at the end are learned.

    Attributes:
        ids: all token ids.
        prefix: how many at the beginning are the policy's, the same for every example.
        answer: how many at the end are learned.
    """

    ids: tuple[int, ...]
    prefix: int
    answer: int

    @property
    def labels(self) -> list[int]:
        """The ids where they are learned, `IGNORED` elsewhere; not shifted."""
        hidden = len(self.ids) - self.answer
        return [IGNORED] * hidden + list(self.ids[hidden:])


@dataclass(frozen=True)
class Task:
    """A contest: one model, one set of examples, one way of counting.

    Attributes:
        model: the base model's folder.
        device: "cpu" or "cuda".
        dtype: of the base model's weights, "float32" or "bfloat16"; LoRA weights are in fp32.
        examples: the file of examples.
        batch: examples in one optimiser step.
        batches: optimiser steps in one turn, which is one epoch.
        turns: most turns that can come.
        threads: of the processor, the same for all.
        settings: what this contestant alone is told.
    """

    model: str
    device: str
    dtype: str
    examples: str
    batch: int
    batches: int
    turns: int
    threads: int
    learning_rate: float = 1e-4
    rank: int = 16
    alpha: int = 32
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Task:
        return cls(**json.loads(path.read_text("utf-8")))

    def load_examples(self) -> list[Tokens]:
        return read_examples(Path(self.examples))


@dataclass(frozen=True)
class Turn:
    """What a contestant tells of one turn.

    Attributes:
        seconds: from the word to go to the end of the last optimiser step.
        processor_seconds: of all threads meanwhile; what others do on the machine adds little to it.
        examples: how many were learned.
        learned: learned tokens that it saw.
        tokens: tokens of these examples, padding not counted.
        first: which examples its first step had.
        first_loss: loss per learned token of its first step.
        memory_mb: the most memory that the process has used so far, of the GPU where one is used.
        about: whatever else is worth keeping.
    """

    seconds: float
    processor_seconds: float
    examples: int
    learned: int
    tokens: int
    first: list[int]
    first_loss: float | None
    memory_mb: float
    about: dict[str, Any] = field(default_factory=dict)


class OtherTokensError(Exception):
    """A contestant was seen to learn something else than the examples that it was given."""


def write_examples(path: Path, examples: Sequence[Tokens]) -> None:
    path.write_text(json.dumps([asdict(example) for example in examples]), "utf-8")


def read_examples(path: Path) -> list[Tokens]:
    return [
        Tokens(tuple(one["ids"]), one["prefix"], one["answer"]) for one in json.loads(path.read_text("utf-8"))
    ]


def read_back(rows: Iterable[tuple[Sequence[int], Sequence[int]]], examples: Sequence[Tokens]) -> list[int]:
    """Which examples lie in rows as a model was given them, padded or packed.

    Args:
        rows: ids and labels of each row.
        examples: what could lie in them; the same example may stand there more than once.

    Raises:
        OtherTokensError: a row holds a learned token that is not of these examples, or an
            example of which other tokens are learned.
    """
    known = {example.ids: index for index, example in reversed(list(enumerate(examples)))}
    lengths = sorted({len(example.ids) for example in examples}, reverse=True)
    found = []
    for ids, labels in rows:
        at = 0
        while at < len(ids):
            index = next((known[piece] for n in lengths if (piece := tuple(ids[at : at + n])) in known), None)
            if index is None:
                if labels[at] != IGNORED:
                    raise OtherTokensError(f"the learned token at {at} of a row is not of the given examples")
                at += 1
                continue
            end = at + len(examples[index].ids)
            if list(labels[at:end]) != examples[index].labels:
                raise OtherTokensError(f"example {index} was given with other learned tokens")
            found.append(index)
            at = end
    return found
