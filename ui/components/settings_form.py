"""The settings of a fine-tune as boxes: what the trainer's own contract says of each, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo
from streamlit.delta_generator import DeltaGenerator

from backend.runs.choices import SettingsError, configure
from training.job import PRESETS, Config
from ui.components import text, words

_NAMES = {
    "answers": "Answers",
    "epochs": "Epochs",
    "learning_rate": "Learning rate",
    "batch_size": "Batch size",
    "warmup": "Warm-up",
    "method": "Method",
    "rank": "LoRA rank",
    "alpha": "LoRA alpha",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "targets": "LoRA targets",
    "layers": "Layers that learn",
    "precision": "Precision",
    "balance": "Balance of answers",
    "weight_decay": "Weight decay",
    "max_grad_norm": "Gradient norm, at most",
    "max_length": "Sequence length",
    "validations": "Validations",
    "choose": "Best is",
    "thresholds_for": "Thresholds are for",
    "patience": "Patience",
    "seed": "Seed",
    "preference": "Preference step",
}
_FILLED, _TIMES = "filled settings", "settings were filled"
_OPTIONS = {
    "answers": words.ANSWERS,
    "choose": words.CHOICES,
    "method": words.METHODS,
    "precision": words.PRECISIONS,
}


@dataclass(slots=True)
class Form:
    """The boxes of all settings, and what they say.

    Attributes:
        config: what they say; None where a value cannot be.
        places: by setting, where something can be said right under its box.
        names: what people call the settings; those of the preference step as "preference.beta".
        wrong: the settings that cannot stay as they are.
    """

    config: Config | None = None
    places: dict[str, DeltaGenerator] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=lambda: dict(_NAMES))
    wrong: list[str] = field(default_factory=list)

    def read(self, preset: str, changes: Mapping[str, Any]) -> Config | None:
        """A preset's settings with changes; what of these cannot be is said under its box."""
        try:
            return configure(preset, changes, names=self.names)
        except SettingsError as error:
            for setting, why in error.wrong.items():
                self.refuse(setting, why.message, why.hint)
            return None

    def refuse(self, setting: str, message: str, hint: str) -> None:
        """Say under a setting's box why it cannot stay as it is."""
        self.wrong.append(setting)
        self.places[setting].error(text.lines(message, hint), icon=":material/error:")


@dataclass(frozen=True, slots=True)
class Filled:
    """Settings that stand in a preset's boxes instead of its own.

    Attributes:
        time: how often boxes were filled; a box holds on to what it says, so another time has other boxes.
    """

    preset: str
    config: Config
    time: int


def fill(preset: str, config: Config) -> None:
    """Let a preset's boxes say these settings from the next run on."""
    before = st.session_state.get(_TIMES, 0)
    st.session_state[_TIMES] = before + 1
    st.session_state[_FILLED] = Filled(preset, config, before + 1)


def forget() -> None:
    """Let boxes say their preset's own settings again."""
    st.session_state.pop(_FILLED, None)


def filled(preset: str) -> Filled | None:
    """What stands in a preset's boxes instead of its own settings."""
    found: Filled | None = st.session_state.get(_FILLED)
    return found if found is not None and found.preset == preset else None


def settings_form(preset: str) -> Form:
    """Draw a box for each setting, filled with the preset's or with what was put in their place."""
    form, other = Form(), filled(preset)
    values = PRESETS[preset] if other is None else other.config
    # The preference step has a switch of its own (`ui/components/preference.py`).
    names = [name for name in Config.model_fields if name != "preference"]
    asked = {
        name: Box(
            _NAMES.get(name, name),
            Config.model_fields[name],
            getattr(values, name),
            key(f"setting-{preset}-{name}", other),
        )
        for name in names
    }
    # An empty box is what stood there, but for patience, where it means never.
    changes = {
        name: getattr(values, name) if said is None and name != "patience" else said
        for name, said in boxes(form, asked).items()
    }
    form.config = form.read(preset, changes)
    return form


def key(name: str, other: Filled | None) -> str:
    """A box's key."""
    return name if other is None else f"{name}-{other.time}"


def described(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The settings of a run by name, as people read them."""
    return [
        (_NAMES.get(name, name), _in_words(name, value))
        for name, value in config.items()
        if name in Config.model_fields
    ]


@dataclass(frozen=True, slots=True)
class Box:
    """A setting to ask for: its label, what the contract says of it, what stands there, the box's key."""

    label: str
    about: FieldInfo
    value: Any
    key: str


def boxes(form: Form, asked: Mapping[str, Box]) -> dict[str, Any]:
    """Draw boxes two in a row, with a place for words under each; what they say, None where emptied."""
    said: dict[str, Any] = {}
    items = list(asked.items())
    for start in range(0, len(items), 2):
        row = items[start : start + 2]
        columns = st.columns(2)
        for column, (name, each) in zip(columns, row, strict=False):
            with column:
                said[name] = _box(name, each)
        for name, _ in row:
            form.places[name] = st.empty()
    return said


def _box(name: str, asked: Box) -> Any:
    label, value, key, about = asked.label, asked.value, asked.key, asked.about.description
    if name in _OPTIONS:
        options = list(get_args(asked.about.annotation))
        return st.selectbox(
            label,
            options,
            index=options.index(value),
            format_func=_OPTIONS[name].__getitem__,
            help=about,
            key=key,
        )
    if isinstance(value, bool):
        return st.toggle(label, value, help=about, key=key)
    if isinstance(value, str | tuple):
        return st.text_input(
            label, value if isinstance(value, str) else ", ".join(value), help=about, key=key
        )
    whole = not isinstance(value, float)
    # Without bounds: a box with them keeps what it held before, while it shows what was typed.
    return st.number_input(
        label,
        value=value,
        step=1 if whole else value / 2 or 0.01,
        format="%d" if whole else "%.3g",
        placeholder="never" if name == "patience" else None,
        help=about,
        key=key,
    )


def _in_words(name: str, value: Any) -> str:
    if name in _OPTIONS:
        return _OPTIONS[name].get(str(value), str(value))
    if name == "preference":
        return (
            "off"
            if value is None
            else ", ".join(f"{key.replace('_', ' ')} {of:g}" for key, of in value.items())
        )
    if value is None:
        return "never"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "layers":
        return f"upper {value:.0%}" if value < 1 else "all"
    return f"{value:g}" if isinstance(value, float) else str(value)
