"""GPUs, counted without torch, and who has which."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

_SECONDS = 10


@lru_cache(maxsize=1)
def gpus() -> tuple[str, ...]:
    """What `CUDA_VISIBLE_DEVICES` may name on this computer; empty where there is no NVIDIA GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = (name.strip() for name in visible.split(","))
        return tuple(name for name in named if name and name != "-1")
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(done.stdout.split()) if done.returncode == 0 else ()


class Slots:
    """Places for trainers: one for each GPU, one in all without.

    Args:
        devices: what `CUDA_VISIBLE_DEVICES` is set to in each place; None leaves it alone.
    """

    def __init__(self, devices: tuple[str | None, ...]) -> None:
        self._free = list(devices)
        self._changed = threading.Condition()

    @contextmanager
    def take(self, give_up: Callable[[], bool]) -> Iterator[tuple[bool, str | None]]:
        """Wait for a place; gives (False, None) where `give_up` came true before there was one."""
        with self._changed:
            while not self._free and not give_up():
                self._changed.wait(0.5)
            taken = bool(self._free) and not give_up()
            device = self._free.pop(0) if taken else None
        try:
            yield taken, device
        finally:
            if taken:
                self._give_back(device)

    @contextmanager
    def occupy(self, device: str | None) -> Iterator[None]:
        """Count a trainer that was found at work: its place is taken, if it is free."""
        with self._changed:
            taken = device in self._free
            if taken:
                self._free.remove(device)
        try:
            yield
        finally:
            if taken:
                self._give_back(device)

    def _give_back(self, device: str | None) -> None:
        with self._changed:
            self._free.append(device)
            self._free.sort(key=str)
            self._changed.notify()
