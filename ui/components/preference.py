"""The preference step: switched on before a run, and judged after it."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from backend.curation.pairs import PairCounts
from backend.curation.service import CurationService
from backend.db.engine import get_database
from backend.evaluation.results import ModelRow
from backend.runs.choices import configure
from backend.runs.service import RunService
from training.job import Config, Preference
from ui.components import numbers, text
from ui.components.settings_form import box

_NAMES = {
    "beta": "Beta",
    "epochs": "Epochs",
    "learning_rate": "Learning rate",
    "batch_size": "Pairs in a step",
}


def switch(config: Config, preset: str, version_id: int) -> Config:
    """Draw the switch with how many pairs there are, and give back the settings with what it says.

    Raises:
        InvalidInputError: a value that cannot be.
    """
    counts = _counts(version_id)
    pairs = counts.learned(config.answers)
    on = st.toggle(
        "Preference step",
        key="preference",
        disabled=not pairs,
        help="After the fine-tune the student learns to prefer people's answer over the teacher's wrong one "
        "for the same post (direct preference optimisation).",
    )
    st.caption(_words(counts, pairs))
    if not (on and pairs):
        return config
    columns = st.columns(2)
    values = Preference()
    changes = {}
    for position, (name, field) in enumerate(Preference.model_fields.items()):
        with columns[position % 2]:
            value = box(name, _NAMES[name], field, getattr(values, name), key=f"preference-{name}")
            changes[f"preference.{name}"] = getattr(values, name) if value is None else value
    names = {f"preference.{name}": f"{label} of the preference step" for name, label in _NAMES.items()}
    said = configure(preset, changes, names=names).preference
    return config.model_copy(update={"preference": said})


def gained(rows: Iterable[ModelRow]) -> None:
    """What the preference step brought to those of the models that had one, on the set of the rows."""
    with get_database().read() as found:
        service = RunService(found)
        gains = {row: service.preference_gains(row.run_id) for row in rows if row.run_id is not None}
    for row, of_run in gains.items():
        for gain in of_run:
            if gain.set_id == row.set_id:
                st.caption(f"{text.label(row.name)}: {text.label(gain.sentence)}")


def _counts(version_id: int) -> PairCounts:
    """Counted once for each version: people's side of it never changes."""
    known: dict[int, PairCounts] = st.session_state.setdefault("pairs", {})
    if version_id not in known:
        with get_database().read() as found:
            known[version_id] = CurationService(found).pair_counts(version_id)
    return known[version_id]


def _words(counts: PairCounts, pairs: int) -> str:
    if pairs:
        return f"{numbers.things(pairs, 'post')} where people corrected the teacher."
    if counts.reasons:
        return (
            "People corrected reasons only; a student that learns labels only has nothing to prefer in them."
        )
    return "In no row of this version does people's answer stand in place of one of the teacher's."
