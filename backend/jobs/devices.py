"""GPUs, counted without torch, and who has which."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Place:
    """A place for one trainer, with the GPU that it is given."""

    device: str | None


class Slots:
    """Places for trainers: one for each GPU, one in all without.

    Args:
        devices: what `CUDA_VISIBLE_DEVICES` is set to in each place; None leaves it alone.
    """

    def __init__(self, devices: Sequence[str | None]) -> None:
        self._count = len(devices)
        self._free = [Place(device) for device in devices]
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return self._count

    def take(self, give_up: Callable[[], bool]) -> Place | None:
        """Wait for a place; None where `give_up` came true before there was one."""
        with self._changed:
            while not give_up():
                if self._free:
                    return self._free.pop(0)
                self._changed.wait(0.5)
        return None

    def occupy(self, device: str | None) -> Place | None:
        """The place of a trainer that was found at work; None where it is taken, or unknown here."""
        with self._changed:
            for place in self._free:
                if place.device in (device, None):
                    self._free.remove(place)
                    return place
        return None

    def give_back(self, place: Place) -> None:
        """Let another trainer have it."""
        with self._changed:
            self._free.append(place)
            self._changed.notify()
