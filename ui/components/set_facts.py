"""What an evaluation set is, in one line."""

from __future__ import annotations

import streamlit as st

from backend.db.models import EvaluationSet
from ui.components import numbers, text


def draw(shown: EvaluationSet) -> None:
    """Its version, its posts and its language, and what its own labels stand for."""
    st.caption(" · ".join(_facts(shown)))


def _facts(shown: EvaluationSet) -> list[str]:
    facts = [f"Version {shown.number}", numbers.things(shown.rows, "post")]
    if shown.language:
        facts.append(f"language {text.label(shown.language)}")
    for label in dict.fromkeys((shown.label_map or {}).values()):
        codes = [code for code, mapped in (shown.label_map or {}).items() if mapped == label]
        facts.append(text.label(f"“{label}” stands for {', '.join(codes)}"))
    return facts
