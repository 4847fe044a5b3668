"""The settings of a fine-tune: a preset, with single settings changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from backend.errors import InvalidInputError
from training.job import PRESETS, Config, Preference

_PREFERENCE = "preference"
_ON, _OFF = {"true", "yes", "on"}, {"false", "no", "off", "none"}

CUSTOM = "custom"
"""The preset's name where settings were changed by hand."""


def configure(
    preset: str,
    changes: Mapping[str, Any] | None = None,
    seed: int | None = None,
    *,
    names: Mapping[str, str] | None = None,
) -> Config:
    """A preset's settings with changes; texts such as "2" or "q_proj,v_proj" are read as they are meant.

    Args:
        names: what people call the settings where they chose them; their own names where not given.

    Raises:
        InvalidInputError: an unknown preset or setting, or a value that cannot be.
    """
    if preset not in PRESETS:
        raise InvalidInputError(f"There is no preset {preset!r}.", f"Choose {', '.join(PRESETS)}.")
    values: dict[str, Any] = PRESETS[preset].model_dump()
    for name, value in (changes or {}).items():
        group, _, inner = name.partition(".")
        if group == _PREFERENCE and inner:
            values[group] = (values[group] or {}) | {inner: value}
        elif name == _PREFERENCE and str(value).lower() in _ON:
            values[name] = values[name] or {}
        elif name == _PREFERENCE and str(value).lower() in _OFF:
            values[name] = None
        else:
            values[name] = _read(name, value)
    if seed is not None:
        values["seed"] = seed
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            # Single settings can be, but not together.
            raise InvalidInputError(f"These settings do not go together: {said}.") from error
        known = _known()
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise InvalidInputError(
                f"There is no setting {place!r}.", f"Settings are {', '.join(known)}."
            ) from error
        # Of a setting that may have several types, the place ends in the type.
        name = place if place in known else place.partition(".")[0]
        about = known[name].description if name in known else None
        called = (names or {}).get(name, name)
        raise InvalidInputError(f"{called} cannot be {first['input']!r}: {said}.", about or "") from error


def preset_name(preset: str, config: Config) -> str:
    """The preset's name, or "custom" where more than the seed differs from it."""
    named = PRESETS.get(preset)
    if named is None or named.model_copy(update={"seed": config.seed}) != config:
        return CUSTOM
    return preset


def _known() -> dict[str, FieldInfo]:
    """All settings by name, those of the preference step as "preference.beta"."""
    of_step = {f"{_PREFERENCE}.{name}": field for name, field in Preference.model_fields.items()}
    return {**Config.model_fields, **of_step}


def _read(name: str, value: Any) -> Any:
    if name == "patience" and isinstance(value, str) and value.strip().lower() in ("", "none", "never"):
        return None
    if name == "targets" and isinstance(value, str) and "," in value:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
