"""`result.json`: how a job ended, and what it was made with."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from training.data import Encoded
from training.files import write_json
from training.pairs import EncodedPairs

RESULT = "result.json"
Status = Literal["done", "stopped", "failed"]

_PACKAGES = (
    *("overrule", "torch", "transformers", "peft", "tokenizers", "safetensors", "accelerate"),
    *("bitsandbytes", "numpy", "pandas", "scikit-learn"),
)
_RESERVE = ".reserve"
_RESERVE_BYTES = 256 * 1024
_REFUSED_SHOWN = 1000


@dataclass(slots=True)
class Record:
    """Collects what `result.json` will say while the job runs.

    Attributes:
        hashes: sha256 by what was hashed: job, policy, prompt, and the data files.
        rows: by file, how many rows were used, and which were refused and why.
        about: what else there is to say (hardware, best step, …).
    """

    folder: Path
    kind: str | None = None
    hashes: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time spent inside under this name, in seconds."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.timings[name] = round(self.timings.get(name, 0.0) + time.monotonic() - begun, 3)

    def count(self, name: str, encoded: Encoded | EncodedPairs, **more: Any) -> None:
        """Note what became of a data file's rows."""
        self.rows[name] = {
            "used": encoded.rows_used,
            "examples": len(encoded.examples),
            "learned_tokens": encoded.learned_tokens,
            **more,
            "refused_count": len(encoded.refused),
            "refused": [
                {"id": refusal.id, "reason": refusal.reason} for refusal in encoded.refused[:_REFUSED_SHOWN]
            ],
        }

    def reserve(self) -> None:
        """Keep a little room, so that a full disk can still be told of."""
        (self.folder / _RESERVE).write_bytes(b"\0" * _RESERVE_BYTES)

    def write(self, status: Status, reason: str | None = None, hint: str | None = None) -> dict[str, Any]:
        """Write `result.json` and give back what it says.

        Raises:
            OSError: not even the reserved room sufficed.
        """
        result = {
            "status": status,
            "reason": reason,
            "hint": hint,
            "kind": self.kind,
            "started": self.started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "hashes": self.hashes,
            "rows": self.rows,
            "timings": self.timings,
            **self.about,
        }
        with suppress(FileNotFoundError):
            (self.folder / _RESERVE).unlink()
        write_json(self.folder / RESULT, result)
        return result


def read_result(folder: Path) -> dict[str, Any] | None:
    """What an earlier process left, or None."""
    with suppress(OSError, ValueError):
        result: dict[str, Any] = json.loads((folder / RESULT).read_text("utf-8"))
        return result
    return None


def hash_data(folder: Path) -> dict[str, str]:
    """sha256 (hex) of each data file of a job by its path in the folder."""
    files = [*folder.glob("*.parquet"), *folder.glob("sets/*.parquet")]
    hashes = {}
    for path in sorted(files):
        with path.open("rb") as file:
            hashes[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
