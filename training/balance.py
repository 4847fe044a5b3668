"""Rare answers that count for more, so that a student does not learn to say the common one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from training.data import Encoded
from training.prompt import Example

Labels = tuple[str, ...]


def answer_weights(answers: Sequence[Labels], strength: float) -> dict[Labels, float]:
    """How much an example of each answer counts in the loss.

    An answer that n of N examples have counts in proportion to n^-strength; scaled so that
    the N examples count 1 on average. 0 counts all alike, 1 makes every answer count as much
    as any other in sum (the "balanced" class weights of scikit-learn, by whole answers).
    """
    counts = Counter(answers)
    raw = {answer: count**-strength for answer, count in counts.items()}
    mean = sum(raw[answer] * count for answer, count in counts.items()) / len(answers)
    return {answer: weight / mean for answer, weight in raw.items()}


def balanced(encoded: Encoded, taught: Encoded, strength: float) -> list[Example]:
    """Examples with the weights of their answers.

    Args:
        encoded: whose examples to weigh.
        taught: what is learned, whose answers are counted. One that it has never seen counts
            as much as its rarest.
        strength: from 0, all alike, to 1.
    """
    if strength == 0:
        return encoded.examples
    weights = answer_weights(taught.answers, strength)
    rarest = max(weights.values())
    return [
        replace(example, weight=weights.get(answer, rarest))
        for example, answer in zip(encoded.examples, encoded.answers, strict=True)
    ]
