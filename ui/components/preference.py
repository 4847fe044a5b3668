"""The preference step: switched on before a run, and judged after it."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from backend.curation.pairs import PairCounts
from backend.curation.service import CurationService
from backend.db.engine import get_database
from backend.evaluation.results import ModelRow
from backend.runs.service import RunService
from training.job import PRESETS, Preference
from ui.components import numbers, text
from ui.components.settings_form import Box, Form, boxes, filled, key

_SETTING = "preference"
_NAMES = {
    "beta": "Beta",
    "epochs": "Epochs",
    "learning_rate": "Learning rate",
    "batch_size": "Pairs in a step",
}


def switch(form: Form, preset: str, version_id: int) -> None:
    """Draw the switch with how many pairs there are, and put what it says into the form's settings."""
    counts = _counts(version_id)
    # Whether there are any depends on the answers; where these cannot be read, on the preset's.
    pairs = counts.learned((form.config or PRESETS[preset]).answers)
    on = st.toggle(
        "Preference step",
        key="preference",
        disabled=not pairs,
        help="After the fine-tune the student learns to prefer people's answer over the teacher's wrong one "
        "for the same post (direct preference optimisation).",
    )
    form.places[_SETTING] = st.empty()
    st.caption(_words(counts, pairs))
    if not (on and pairs):
        return
    other = filled(preset)
    values = (other.config.preference if other else None) or Preference()
    asked = {
        f"{_SETTING}.{name}": Box(
            _NAMES[name], about, getattr(values, name), key(f"{_SETTING}-{name}", other)
        )
        for name, about in Preference.model_fields.items()
    }
    form.names |= {name: f"{box.label} of the preference step" for name, box in asked.items()}
    said = boxes(form, asked)
    if form.config is None:
        return
    changes = {name: asked[name].value if value is None else value for name, value in said.items()}
    form.config = form.read(preset, form.config.model_dump() | changes)


def gained(rows: Iterable[ModelRow]) -> None:
    """What the preference step brought to those of the models that had one, on the set of the rows."""
    with get_database().read() as found:
        service = RunService(found)
        gains = {
            row: service.preference_gains(row.run_id)
            for row in rows
            # The gain is told of the student as it is asked by itself.
            if row.run_id is not None and row.inference is None
        }
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
        posts = numbers.things(pairs, "post")
        return f"{posts} where people’s answer, imported or reviewed, overrules the teacher’s."
    if counts.reasons:
        return (
            "People corrected reasons only; a student that learns labels only has nothing to prefer in them."
        )
    return "In no row of this version does people's answer stand in place of one of the teacher's."
