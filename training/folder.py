"""The job's folder: a local one as it is, any other fsspec address mirrored."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

_SECONDS_BETWEEN = 10.0
_LAST = ("state.json", "result.json")
"""Files that say of others that they are complete; they are sent after them."""


class FolderError(Exception):
    """The job's folder cannot be reached; the message says why."""


class JobFolder:
    """A job's folder as a local path.

    A remote one is fetched into a temporary folder when it is opened; what changed is sent back
    now and then, and all of it at the end. Names that begin with a dot stay here.

    Args:
        address: a path, or any fsspec address such as `s3://bucket/job`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._remote: Any = None
        self._root = ""
        self._sent: dict[str, tuple[int, int]] = {}
        self._sent_at = 0.0
        if "://" not in address:
            self.local = Path(address)
            if not self.local.is_dir():
                raise FolderError(f"there is no folder {address}")
            return
        self.local = Path(tempfile.mkdtemp(prefix="overrule-job-"))
        try:
            self._fetch()
        except BaseException:
            shutil.rmtree(self.local, ignore_errors=True)
            raise

    def _fetch(self) -> None:
        try:
            self._remote, self._root = url_to_fs(self.address)
            if not self._remote.isdir(self._root):
                raise FolderError(f"there is no folder {self.address}")
            root = self._root.rstrip("/")
            for remote in self._remote.find(root):
                name = remote[len(root) :].lstrip("/")
                target = self.local / name
                target.parent.mkdir(parents=True, exist_ok=True)
                self._remote.get_file(remote, str(target))
                self._sent[name] = _stamp(target)
        except (ValueError, ImportError) as error:
            raise FolderError(f"{self.address} cannot be read: {error}") from error

    def __enter__(self) -> JobFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def push(self, *, now: bool = False) -> None:
        """Send what changed; without `now` at most every few seconds.

        Raises:
            OSError: it cannot be written there.
        """
        if self._remote is None or (not now and time.monotonic() - self._sent_at < _SECONDS_BETWEEN):
            return
        here = {
            path.relative_to(self.local).as_posix(): path
            for path in self.local.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self.local).parts)
        }
        # What is gone goes first: a checkpoint must lose its files' witness before its files.
        for name in sorted(set(self._sent) - set(here), key=_is_witness, reverse=True):
            self._remote.rm_file(self._at(name))
            del self._sent[name]
        for name in sorted(here, key=_is_witness):
            stamp = _stamp(here[name])
            if self._sent.get(name) != stamp:
                self._remote.makedirs(self._at(name).rsplit("/", 1)[0], exist_ok=True)
                self._remote.put_file(str(here[name]), self._at(name))
                self._sent[name] = stamp
        self._sent_at = time.monotonic()

    def close(self) -> None:
        """Send all that changed and remove the local copy of a remote folder."""
        if self._remote is None:
            return
        self.push(now=True)
        shutil.rmtree(self.local, ignore_errors=True)

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


def fetch_folder(address: str, into: Path) -> Path:
    """A folder of files (an adapter) as a local path; copied into `into` where it is remote.

    Raises:
        FolderError: there is no such folder.
    """
    if "://" not in address:
        if not Path(address).is_dir():
            raise FolderError(f"there is no folder {address}")
        return Path(address)
    remote, root = url_to_fs(address)
    if not remote.isdir(root):
        raise FolderError(f"there is no folder {address}")
    into.mkdir(parents=True, exist_ok=True)
    for file in remote.find(root, maxdepth=1):
        remote.get_file(file, str(into / file.rsplit("/", 1)[1]))
    return into


def _is_witness(name: str) -> bool:
    return name.rsplit("/", 1)[-1] in _LAST


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
