"""Where a trainer's process runs: here, or on a Ray cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import psutil

from backend.db.migrate import ROOT
from backend.jobs.devices import gpus
from backend.jobs.processes import is_alive, start_time
from backend.jobs.service import OUTPUT
from backend.settings import Settings

# The trainer has no business with the teacher, the database or its password.
_SECRETS = ("OVERRULE_TEACHER_KEY", "OVERRULE_DATABASE_URL")


@dataclass(frozen=True, slots=True)
class Launched:
    """A trainer's process.

    Attributes:
        reference: what its launcher calls it.
        pid, started: where it runs on this computer, the process.
        device: the GPU that it was given, as `CUDA_VISIBLE_DEVICES` names it.
    """

    reference: str
    pid: int | None = None
    started: float | None = None
    device: str | None = None


class Launcher(Protocol):
    """Starts trainers that outlive whoever starts them, and finds them again."""

    @property
    def places(self) -> tuple[str | None, ...]:
        """A place for each trainer that may run at once, with the GPU that it is given."""

    def start(self, folder: Path, device: str | None) -> Launched:
        """Start the trainer on a job's folder."""

    def find(self, folder: Path) -> Launched | None:
        """The trainer that is at work on a folder, whoever started it."""

    def is_alive(self, launched: Launched) -> bool:
        """Whether it is still there."""

    def stop(self, launched: Launched) -> None:
        """Ask it to save and stop."""

    def kill(self, launched: Launched) -> None:
        """End it at once."""

    def last_words(self, launched: Launched, folder: Path) -> str | None:
        """What it said when it gave up by itself; None where it was killed or nobody knows."""


def trainer_environment(settings: Settings) -> dict[str, str]:
    """What the trainer is told beside its folder."""
    return {"OVERRULE_MODEL_CACHE": str(settings.models.expanduser().resolve())}


_RANKS = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
"""A worker that was started among several processes would have its trainer wait for others."""


def local_environment(settings: Settings) -> dict[str, str]:
    """The environment of a trainer on this computer."""
    kept_back = {*_SECRETS, *_RANKS}
    passed_on = {name: value for name, value in os.environ.items() if name not in kept_back}
    return passed_on | trainer_environment(settings)


class LocalLauncher:
    """A session and process group of its own on this computer.

    It has no pipe to anybody: a dead parent, a closed page or a full buffer cannot hold it up.
    """

    program: ClassVar[tuple[str, ...]] = (sys.executable,)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Children stay corpses until somebody asks how they ended.
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def places(self) -> tuple[str | None, ...]:
        """One for each GPU, one in all without."""
        return gpus() or (None,)

    def start(self, folder: Path, device: str | None) -> Launched:
        """Start `python -m training` with its output in a file."""
        environment = local_environment(self._settings)
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        with (folder / OUTPUT).open("ab") as output:
            process = subprocess.Popen(
                [*self.program, "-m", "training", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )
        self._children[process.pid] = process
        return Launched(str(process.pid), process.pid, start_time(process.pid), device)

    def find(self, folder: Path) -> Launched | None:
        """Look through the processes for the one whose command names the folder."""
        wanted = ["-m", "training", str(folder)]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cmdline()[-3:] == wanted and process.status() != psutil.STATUS_ZOMBIE:
                    device = process.environ().get("CUDA_VISIBLE_DEVICES")
                    return Launched(str(process.pid), process.pid, process.create_time(), device)
        return None

    def is_alive(self, launched: Launched) -> bool:
        """Whether the very process is there and no corpse."""
        child = self._children.get(launched.pid or 0)
        if child is not None:
            return child.poll() is None
        return is_alive(launched.pid, launched.started)

    def stop(self, launched: Launched) -> None:
        """SIGTERM to the group."""
        self._signal(launched, signal.SIGTERM)

    def kill(self, launched: Launched) -> None:
        """SIGKILL to the group."""
        self._signal(launched, signal.SIGKILL)

    def last_words(self, launched: Launched, folder: Path) -> str | None:
        """The last line of its output, where it ended with an exit code of its own."""
        child = self._children.pop(launched.pid or 0, None)
        if child is None or child.wait() <= 0:
            return None
        lines = (folder / OUTPUT).read_text("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), None)

    def _signal(self, launched: Launched, number: signal.Signals) -> None:
        if launched.pid is not None and self.is_alive(launched):
            with suppress(ProcessLookupError):
                os.killpg(launched.pid, number)
