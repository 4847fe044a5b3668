"""Which column is what: the guess, open to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from backend.intake.columns import ColumnMapping, Purpose, with_labels
from backend.intake.labels import SEPARATORS, LabelMode
from backend.intake.readers import open_table
from backend.intake.reports import Preview

_LEFT_OUT = "–"
_TEACHER = {
    "answer_analysis": "Teacher's analysis",
    "answer_harmful": "Teacher's quotes",
    "answer_model": "Teacher's name",
}
_FIRST: dict[Purpose, dict[str, str]] = {
    Purpose.POSTS: {"text": "Text", "id": "Id"},
    Purpose.ANSWERS: {
        "id": "Id of the post",
        "text": "Text of the post",
        "answer_labels": "Teacher's labels",
    },
    Purpose.SET: {"text": "Text", "id": "Id", "group": "Figures also by"},
}
_LABELS = 2
"""The place of the labels among the first boxes."""
_MORE: dict[Purpose, dict[str, str]] = {
    Purpose.POSTS: {
        "reason": "A person's reason",
        "split": "Split",
        "source": "Source",
        "answer_labels": "Teacher's labels",
    }
    | _TEACHER,
    Purpose.ANSWERS: _TEACHER,
    Purpose.SET: {},
}


def columns_form(found: Preview, purpose: Purpose, path: Path, name: str, key: str) -> ColumnMapping:
    """Draw a chooser for each role and give back the mapping as chosen.

    Args:
        found: the file's columns and the guess.
        purpose: what the file is imported as, which says the roles.
        path: where the file lies, to look again at how its labels are written.
        name: what the person calls the file.
        key: tells this file's choosers from another's.
    """
    chosen: dict[str, str | None] = {}
    labels = found.mapping.labels
    roles = _FIRST[purpose]
    boxes = list(st.columns(3 if purpose is Purpose.ANSWERS else len(roles) + 1, gap="small"))
    if purpose is not Purpose.ANSWERS:
        with boxes.pop(_LABELS):
            labels = _labels(found, f"{key}-labels")
    for cell, (role, title) in zip(boxes, roles.items(), strict=True):
        with cell:
            chosen[role] = _column(title, getattr(found.mapping, role), found.columns, f"{key}-{role}")
    if _MORE[purpose]:
        guessed = [title for role, title in _MORE[purpose].items() if getattr(found.mapping, role)]
        words = f"More columns: {', '.join(guessed)}" if guessed else "More columns"
        with st.expander(words):
            cells = st.columns(3, gap="small")
            for place, (role, title) in enumerate(_MORE[purpose].items()):
                with cells[place % 3]:
                    chosen[role] = _column(
                        title, getattr(found.mapping, role), found.columns, f"{key}-{role}"
                    )
    mapping = replace(found.mapping, **chosen)  # type: ignore[arg-type]
    if purpose is Purpose.ANSWERS:
        return mapping
    if labels != found.mapping.labels:
        mapping = with_labels(mapping, labels, open_table(path, name).sample)
        mapping = mapping if labels else replace(mapping, labels=(), label_mode=LabelMode.SINGLE)
    return _separated(mapping, f"{key}-separator")


def _column(title: str, guess: str | None, columns: Sequence[str], key: str) -> str | None:
    options = [_LEFT_OUT, *columns]
    column = st.selectbox(title, options, index=options.index(guess) if guess else 0, key=key)
    return None if column == _LEFT_OUT else column


def _labels(found: Preview, key: str) -> tuple[str, ...]:
    return tuple(
        st.multiselect(
            "Labels",
            found.columns,
            default=list(found.mapping.labels),
            key=key,
            help="One column, or one column of ones and zeros for each category.",
        )
    )


def _separated(mapping: ColumnMapping, key: str) -> ColumnMapping:
    if mapping.label_mode is not LabelMode.SEPARATED:
        return mapping
    options = list(dict.fromkeys([mapping.separator or SEPARATORS[0], *SEPARATORS]))
    separator = st.segmented_control(
        "Between several labels", options, default=options[0], key=key, required=True
    )
    return replace(mapping, separator=separator or options[0])
