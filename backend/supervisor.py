"""The start command's insides: one start for each home, and the processes that it looks after."""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import SecretStr

from backend.base_models import checked_name
from backend.db.migrate import ROOT
from backend.errors import ConflictError, OverruleError
from backend.settings import Settings
from backend.text import as_sentence

_log = logging.getLogger(__name__)

HOST = "127.0.0.1"
# Seconds: the app's first answer, between two looks, and how long a process gets to end.
_FIRST_ANSWER = 120.0
_LOOK = 0.3
_PATIENCE = 30.0
# Seconds before a worker that died is started again, the longer the oftener it died at once.
_AGAIN = (0.5, 2.0, 5.0, 15.0, 30.0)
_LIVED = 30.0
_LARGEST_LOG = 10 * 2**20


@contextmanager
def only_start(settings: Settings, address: str) -> Iterator[None]:
    """Be the only start of this home.

    The lock is the operating system's and ends with its process, so that none is ever stale.

    Raises:
        ConflictError: another start has this home; the message says where it answers.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.home / "run.lock")
    about = settings.home / "run.json"
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise _running_already(settings.home, about) from error
    try:
        about.write_text(json.dumps({"pid": os.getpid(), "address": address}), "utf-8")
        yield
    finally:
        about.unlink(missing_ok=True)
        lock.release()


def _running_already(home: Path, about: Path) -> ConflictError:
    where = ""
    with suppress(OSError, ValueError, KeyError):
        known = json.loads(about.read_text("utf-8"))
        where = f" at {known['address']} (process {known['pid']})"
    return ConflictError(
        f"Overrule is running already{where}, with the home {home}.",
        "Open that address, stop it there with Ctrl-C, or set another OVERRULE_HOME.",
    )


def require_free(port: int) -> None:
    """Refuse a port that another program has.

    Raises:
        ConflictError: it is taken, or may not be used.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConflictError(
                f"Port {port} cannot be used: {error.strerror}.",
                "Choose another with --port, OVERRULE_PORT, or make run PORT=….",
            ) from error


def pull_base_model(name: str, settings: Settings) -> Path:
    """Fetch a base model where it is not here yet; in a process of its own, because that takes torch.

    Raises:
        OverruleError: it cannot be had; the message says why.
    """
    command = [sys.executable, "-m", "training.base_model", "pull", checked_name(name)]
    done = subprocess.run(
        [*command, "--cache", str(settings.models.expanduser().resolve()), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    with suppress(ValueError, IndexError):
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        if "folder" in answer:
            return Path(answer["folder"])
        raise OverruleError(as_sentence(str(answer["error"])))
    lines = done.stderr.strip().splitlines()
    raise OverruleError(f"The base model cannot be fetched: {lines[-1] if lines else 'no reason was given'}.")


def child_environment(settings: Settings) -> dict[str, str]:
    """The settings as this process read them, for children that run in another folder."""
    environment = dict(os.environ)
    for name in settings.model_fields_set | {"home"}:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, Path):
            value = value.expanduser().resolve()
        if name == "base_model":
            value = checked_name(value)
        if value is not None:
            environment[f"OVERRULE_{name.upper()}"] = str(value)
    return environment


class Child:
    """A process that the start command looks after, with its output in a file.

    It is in a session of its own: Ctrl-C reaches the start command alone, which then ends its
    children in order.

    Args:
        name: names the log, `home`/logs/NAME.log.
        command: what follows the interpreter.
        settings: home and all that the child is told.
    """

    def __init__(self, name: str, command: list[str], settings: Settings) -> None:
        self.log = settings.home / "logs" / f"{name}.log"
        self._command = [sys.executable, *command]
        self._environment = child_environment(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def start(self) -> None:
        """Start it; a log that grew long is begun anew."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        long = self.log.is_file() and self.log.stat().st_size > _LARGEST_LOG
        with self.log.open("wb" if long else "ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self._environment,
                start_new_session=True,
            )
        self.started_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-count:])


class Supervisor:
    """App and worker, for as long as the start command runs."""

    def __init__(self, settings: Settings, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        flags = {
            "server.address": HOST,
            "server.port": port,
            "server.headless": "true",
            "server.fileWatcherType": "none",
            "server.enableXsrfProtection": "true",
            "browser.gatherUsageStats": "false",
        }
        self._app = Child(
            "app", ["-m", "ui", *(f"--{name}={value}" for name, value in flags.items())], settings
        )
        self._worker = Child(
            "worker", ["-m", "backend", "worker", "--wait", "--parent", str(os.getpid())], settings
        )
        self._deaths = 0

    def run(self, on_ready: Callable[[], None], on_worker_death: Callable[[], None]) -> None:
        """Start both, and look after them until a signal asks to stop.

        Args:
            on_ready: called once the app answers.
            on_worker_death: called when the worker died and is started again.

        Raises:
            OverruleError: the app does not start, or died.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            self._worker.start()
            self._app.start()
            if self._wait_for_app():
                on_ready()
                self._look_after(on_worker_death)
        finally:
            # The app first: it may still make jobs, and the worker finds them the next time anyway.
            self._app.stop()
            self._worker.stop()

    def _wait_for_app(self) -> bool:
        """True once the app answers, False where a signal came first."""
        deadline = time.monotonic() + _FIRST_ANSWER
        while not self._stop.wait(_LOOK / 3):
            self._require_app()
            if answers(self._port):
                return True
            if time.monotonic() > deadline:
                raise OverruleError(
                    f"The app does not answer after {_FIRST_ANSWER:.0f} seconds.", f"Look at {self._app.log}."
                )
        return False

    def _look_after(self, on_worker_death: Callable[[], None]) -> None:
        while not self._stop.wait(_LOOK):
            self._require_app()
            if self._worker.alive:
                continue
            on_worker_death()
            if time.monotonic() - self._worker.started_at > _LIVED:
                self._deaths = 0
            wait = _AGAIN[min(self._deaths, len(_AGAIN) - 1)]
            self._deaths += 1
            if not self._stop.wait(wait):
                self._worker.start()

    def _require_app(self) -> None:
        if not self._app.alive:
            raise OverruleError(
                f"The app has ended. It said last:\n{self._app.last_lines()}",
                f"All of it is in {self._app.log}.",
            )


def answers(port: int) -> bool:
    """Whether the app's health endpoint says that it is there."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
