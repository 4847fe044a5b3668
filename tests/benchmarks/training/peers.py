"""Who takes part in the contest for speed, each peer as it comes and at its best.

What was tried is listed with it; `python -m tests.benchmarks.training tune PEER` measures it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.training.contest import Contestant, ContestError
from tests.benchmarks.training.environments import python_of

Settings = dict[str, Any]

_NO_CHECKPOINTING: dict[str, Settings] = {
    "trl": {"gradient_checkpointing": False},
    "llamafactory": {"disable_gradient_checkpointing": True},
}
_SORTED: Settings = {"train_sampling_strategy": "group_by_length"}

_MODULES = {"trl": "trl_sft", "llamafactory": "llamafactory_sft"}


def candidates(peer: str) -> dict[str, Settings]:
    """The settings that were tried for a peer, by a name that says what they are."""
    if peer == "padded_loop":
        return {f"calls of {count}": {"per_call": count} for count in (16, 8, 4, 2, 1)}
    plain = _NO_CHECKPOINTING[peer]
    tried: dict[str, Settings] = {"as it comes": {}, "no checkpointing": plain}
    tried |= {
        f"no checkpointing, sorted, calls of {n}": plain | _SORTED | {"per_call": n} for n in (8, 4, 2, 1)
    }
    tried |= {
        f"no checkpointing, packed, {n} to a row": plain | {"row_examples": n, "per_call": 1}
        for n in (8, 4, 2)
    }
    if peer == "trl":
        tried["no checkpointing, padding-free, calls of 4"] = plain | {
            "padding_free": True,
            "max_length": None,
            "per_call": 4,
        }
    return tried


BEST: dict[tuple[str, str], str] = {
    ("padded_loop", "cpu"): "calls of 4",
    ("trl", "cpu"): "no checkpointing, sorted, calls of 4",
    ("llamafactory", "cpu"): "no checkpointing, sorted, calls of 4",
    ("padded_loop", "cuda"): "calls of 16",
    ("trl", "cuda"): "no checkpointing",
    ("llamafactory", "cuda"): "no checkpointing",
}
"""Which of the candidates is the fastest, by peer and device; on "cuda" not measured yet."""


OVERRULE = Contestant("overrule", "overrule")
"""The trainer itself, with nothing changed."""


def opponents(device: str, say: Callable[[str], None], only: Sequence[str]) -> list[Contestant]:
    """All peers, in the order of the tables; environments are made where they are missing.

    Args:
        device: whose best settings are taken.
        say: told when an environment is made.
        only: names; all where it is empty.

    Raises:
        ContestError: there is no peer of a name.
    """
    everyone = ["padded_loop", *(name for peer in _MODULES for name in (peer, f"{peer}_best"))]
    unknown = set(only).difference(everyone)
    if unknown:
        raise ContestError(f"there is no peer {sorted(unknown)[0]!r}; there are {', '.join(everyone)}")
    return [_opponent(name, device, say) for name in everyone if not only or name in only]


def _opponent(name: str, device: str, say: Callable[[str], None]) -> Contestant:
    peer = name.removesuffix("_best")
    best = candidates(peer)[BEST[peer, device]]
    if peer not in _MODULES:
        return Contestant(name, peer, settings=best)
    return Contestant(name, _MODULES[peer], python_of(peer, say), settings=best if name != peer else {})


def trials(peer: str, say: Callable[[str], None], only: Sequence[str]) -> list[Contestant]:
    """A contestant for each candidate of a peer, or for those named.

    Raises:
        ContestError: there is no candidate of a name.
    """
    tried = candidates(peer)
    unknown = set(only).difference(tried)
    if unknown:
        raise ContestError(f"{peer} has no settings {sorted(unknown)[0]!r}; there are {', '.join(tried)}")
    module, python = peer, Path(sys.executable)
    if peer in _MODULES:
        module, python = _MODULES[peer], python_of(peer, say)
    return [
        Contestant(name, module, python, settings=settings)
        for name, settings in tried.items()
        if not only or name in only
    ]
