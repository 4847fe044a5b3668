"""The settings of a fine-tune: a preset, with single settings changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from backend.errors import InvalidInputError
from training.job import PRESETS, Config, Preference

_PREFERENCE = "preference"
_ON, _OFF = {"true", "yes", "on"}, {"false", "no", "off", "none"}

CUSTOM = "custom"
"""The preset's name where settings were changed by hand."""

_TOGETHER = "method"
"""What does not go together is a method and something that it cannot do."""


class SettingsError(InvalidInputError):
    """Settings have values that cannot be; as an error it speaks of the first.

    Args:
        wrong: what is wrong with each of them by its name, one of the preference step as "preference.beta".
    """

    def __init__(self, wrong: Mapping[str, InvalidInputError]) -> None:
        first = next(iter(wrong.values()))
        super().__init__(first.message, first.hint)
        self.wrong = wrong


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
        InvalidInputError: an unknown preset.
        SettingsError: an unknown setting, or values that cannot be.
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
        wrong: dict[str, InvalidInputError] = {}
        for found in error.errors():
            setting, said = _refusal(found, names or {})
            # Of a setting that may have several types, the first is the one that people mean.
            wrong.setdefault(setting, said)
        raise SettingsError(wrong) from error


def _refusal(found: ErrorDetails, names: Mapping[str, str]) -> tuple[str, InvalidInputError]:
    """Which setting an error is about, and what to say of it."""
    said = found["msg"].removeprefix("Value error, ")
    if not found["loc"]:
        return _TOGETHER, InvalidInputError(f"These settings do not go together: {said}.")
    known = _known()
    place = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        listed = ", ".join(known)
        return place, InvalidInputError(f"There is no setting {place!r}.", f"Settings are {listed}.")
    # Of a setting that may have several types, the place ends in the type.
    name = place if place in known else place.partition(".")[0]
    about = known[name].description if name in known else None
    called = names.get(name, name)
    return name, InvalidInputError(f"{called} cannot be {found['input']!r}: {said}.", about or "")


def nearest_preset(config: Config) -> str:
    """The preset that has the most settings in common with these."""
    values = config.model_dump()

    def common(name: str) -> int:
        return sum(values[setting] == value for setting, value in PRESETS[name].model_dump().items())

    return max(PRESETS, key=common)


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
