"""The settings of a fine-tune as boxes: what the trainer's own contract says of each, and no more."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo

from backend.runs.choices import configure
from training.job import PRESETS, Config
from ui.components import words

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
_OPTIONS = {
    "answers": words.ANSWERS,
    "choose": words.CHOICES,
    "method": words.METHODS,
    "precision": words.PRECISIONS,
}


def settings_form(preset: str) -> Config:
    """Draw a box for each setting, filled with the preset's, and give back what they say.

    Raises:
        InvalidInputError: a value that cannot be.
    """
    values = PRESETS[preset]
    columns = st.columns(2)
    changes: dict[str, Any] = {}
    # The preference step has a switch of its own (`ui/components/preference.py`).
    fields = {name: field for name, field in Config.model_fields.items() if name != "preference"}
    for position, (name, field) in enumerate(fields.items()):
        with columns[position % 2]:
            label = _NAMES.get(name, name)
            changes[name] = box(name, label, field, getattr(values, name), key=f"setting-{preset}-{name}")
    # An empty box is the preset's value, but for patience, where it means never.
    kept = {name: value for name, value in changes.items() if value is not None or name == "patience"}
    return configure(preset, kept, names=_NAMES)


def described(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The settings of a run by name, as people read them."""
    return [
        (_NAMES.get(name, name), _in_words(name, value))
        for name, value in config.items()
        if name in Config.model_fields
    ]


def box(name: str, label: str, field: FieldInfo, value: Any, *, key: str) -> Any:
    """Draw the box of one setting, filled with a value; what it says, None where it was emptied."""
    about = field.description
    if name in _OPTIONS:
        options = list(get_args(field.annotation))
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
