"""Work that does not fit into memory, done again in smaller rows with the same result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from training.layout import smaller_budget
from training.memory import MemoryShortError, is_out_of_memory
from training.prompt import Example
from training.student import Student

_log = logging.getLogger(__name__)

T = TypeVar("T")


def attempt(compute: Callable[[], T]) -> T | None:
    """What `compute` gives, or None where memory ran out; what it held is let go."""
    try:
        return compute()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Past the handler, because the error holds the frames and thus the tensors of what failed.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def in_rows_that_fit(student: Student, examples: Sequence[Example], compute: Callable[[], T]) -> T:
    """Compute over these examples' packed rows; where memory runs out, again with half the tokens a row.

    The rows stay small from then on. Any rows give the same sums up to rounding (training/layout.py).

    Args:
        student: whose `row_tokens` says how long rows are.
        examples: what `compute` packs.
        compute: starts from nothing each time; its value is never None.

    Raises:
        MemoryShortError: an example does not fit alone.
    """
    while (result := attempt(compute)) is None:
        budget = smaller_budget(examples, student.row_tokens)
        if budget is None:
            raise MemoryShortError(f"a single example of {max(map(len, examples)):,} tokens")
        student.row_tokens = budget
        _log.warning("the memory ran out; it is computed again in rows of at most %d tokens", budget)
    return result
