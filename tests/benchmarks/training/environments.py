"""Environments of their own for the peers, made once, with the versions in `requirements/`.

PyTorch is installed first and held at one version: an open range would fetch whatever is newest.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

_REQUIREMENTS = Path(__file__).with_name("requirements")
_HAS_CUDA = "import sys, torch; sys.exit(torch.version.cuda is None)"


class InstallError(Exception):
    """An environment could not be made; the message has what the installer said."""


def names() -> list[str]:
    """The environments that can be made."""
    return sorted(path.stem for path in _REQUIREMENTS.glob("*.txt"))


def python_of(name: str, say: Callable[[str], None]) -> Path:
    """The Python of a peer's environment, which is made where it is missing.

    Raises:
        InstallError: something could not be installed.
    """
    requirements = _REQUIREMENTS / f"{name}.txt"
    version = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    folder = user_cache_path("overrule") / "benchmarks" / f"{name}-{version}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if ready.is_file():
        return python
    say(f"Making an environment for {name}; this takes some minutes and happens once.")
    torch = next(line for line in requirements.read_text().splitlines() if line.startswith("torch=="))
    _do(sys.executable, "-m", "venv", "--clear", str(folder))
    _do(str(python), "-m", "pip", "install", "--quiet", torch)
    _do(str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements))
    if subprocess.run([str(python), "-c", _HAS_CUDA], check=False).returncode:
        # From PyPI they are linked against CUDA: beside a PyTorch without it they are there and
        # do not load, which stops transformers and LLaMA-Factory; without them both start.
        _do(str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision", "torchaudio")
    ready.touch()
    return python


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
