"""Base models by name, without torch: where a fetched one lies, and what a name may be.

Fetching is the trainer's (`python -m training.base_model pull`); a test holds both together.
"""

from __future__ import annotations

from pathlib import Path

from backend.errors import InvalidInputError
from backend.settings import Settings

DEFAULT = "default"
DEFAULT_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"


def checked_name(name: str) -> str:
    """A base model's name as it is kept: a folder becomes absolute, whoever reads it later.

    Raises:
        InvalidInputError: it is written as a path, and no such folder exists.
    """
    name = name.strip()
    if not name:
        raise InvalidInputError(
            "No base model is named.", 'Give a folder, a name such as "organisation/model", or "default".'
        )
    if name in (DEFAULT, DEFAULT_NAME):
        return DEFAULT
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InvalidInputError(
            f"There is no folder {name}.", 'Give a folder that exists, a name of a model, or "default".'
        )
    return name


def local_folder(name: str, settings: Settings) -> Path | None:
    """The folder of a base model that is here already, or None where it would have to be fetched."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        hub_id = DEFAULT_NAME if name == DEFAULT else name
        folder = settings.models / hub_id.replace("/", "--")
    return folder if (folder / "tokenizer.json").is_file() else None


def display_name(name: str) -> str:
    """A base model's name as people read it."""
    if name == DEFAULT:
        return DEFAULT_NAME.rsplit("/", 1)[-1]
    return name.rstrip("/").rsplit("/", 1)[-1]
