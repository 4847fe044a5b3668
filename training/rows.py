"""Which examples lie in one packed row; without torch, so that a row can be counted before it is laid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from training.prompt import Example

LARGEST_ROW = {"cpu": 4096, "cuda": 16384}
"""Tokens in one packed row where memory allows it; longer rows compute the prefix less often."""

FILLED_TO = 32
"""Rows of bf16 numbers on a processor are filled up to a multiple of so many tokens. Products of such
matrices are compiled for each length, and a small step spent a fifth of its time on that."""

SCORED_TOKENS = {"cpu": 8192, "cuda": 32768}
"""The same for scoring, were all branches of the tree of answers computed; few are."""

WRITTEN_AT_ONCE = {4: 128, 2: 256}
"""Posts for which an answer is written at once, by the bytes of a weight: what is kept of them takes the
same memory, and devices that multiply short numbers faster want more of them to read each weight for."""

REASON_TOKENS = 192
"""The longest reason, in tokens; what is longer is cut and the classification asked for."""

HEAD_ROWS = 512
"""Positions for which the head is computed at once."""


def tokens_of(row: Sequence[Example]) -> int:
    """Tokens of one row: its prefix once, and what follows it of each example."""
    prefix = len(row[0].prefix)
    return prefix + sum(len(example) - prefix for example in row)


def rows_of(examples: Sequence[Example], budget: int) -> Iterator[list[Example]]:
    """The examples of each row of at most `budget` tokens, those with the same prefix together.

    An example longer than the budget gets a row of its own.
    """
    by_prefix: dict[tuple[int, ...], list[Example]] = {}
    for example in examples:
        by_prefix.setdefault(example.prefix, []).append(example)
    for prefix, same in by_prefix.items():
        row: list[Example] = []
        length = len(prefix)
        for example in same:
            own = len(example) - len(prefix)
            if row and length + own > budget:
                yield row
                row, length = [], len(prefix)
            row.append(example)
            length += own
        yield row
