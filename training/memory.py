"""Memory that runs out, as errors say it. Works without torch."""

from __future__ import annotations

HINT = (
    "Lower the sequence length or the rank, choose the method qlora or a smaller base model, "
    "or end what else uses the memory."
)
_SAYS_SO = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""How torch words it where it raises a plain RuntimeError."""


class MemoryShortError(Exception):
    """Not even the smallest piece of work fits into memory; `hint` says what to change."""

    def __init__(self, piece: str) -> None:
        super().__init__(f"the memory ran out over {piece}, and nothing smaller can be computed")
        self.hint = HINT


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the GPU or of the computer."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAYS_SO)
