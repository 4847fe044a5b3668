"""The settings of a fine-tune: a preset, with single settings changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from backend.errors import InvalidInputError
from training.job import PRESETS, Config

CUSTOM = "custom"
"""The preset's name where settings were changed by hand."""


def configure(preset: str, changes: Mapping[str, Any] | None = None, seed: int | None = None) -> Config:
    """A preset's settings with changes; texts such as "2" or "q_proj,v_proj" are read as they are meant.

    Raises:
        InvalidInputError: an unknown preset or setting, or a value that cannot be.
    """
    if preset not in PRESETS:
        raise InvalidInputError(f"There is no preset {preset!r}.", f"Choose {', '.join(PRESETS)}.")
    values: dict[str, Any] = PRESETS[preset].model_dump()
    for name, value in (changes or {}).items():
        values[name] = _read(name, value)
    if seed is not None:
        values["seed"] = seed
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "the settings"
        if name not in Config.model_fields:
            raise InvalidInputError(
                f"There is no setting {name!r}.", f"Settings are {', '.join(Config.model_fields)}."
            ) from error
        raise InvalidInputError(
            f"{name} cannot be {values[name]!r}: {first['msg']}.",
            Config.model_fields[name].description or "",
        ) from error


def preset_name(preset: str, config: Config) -> str:
    """The preset's name, or "custom" where more than the seed differs from it."""
    named = PRESETS.get(preset)
    if named is None or named.model_copy(update={"seed": config.seed}) != config:
        return CUSTOM
    return preset


def _read(name: str, value: Any) -> Any:
    if name == "patience" and isinstance(value, str) and value.strip().lower() in ("", "none", "never"):
        return None
    if name == "targets" and isinstance(value, str) and "," in value:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
