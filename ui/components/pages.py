"""The pages, in the order in which the data goes."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_FOLDER = Path(__file__).resolve().parents[1] / "pages"

PAGES: dict[str, tuple[str, str]] = {
    "overview": ("Overview", ":material/route:"),
    "teacher": ("Teacher", ":material/school:"),
    "review": ("Review", ":material/gavel:"),
    "dataset": ("Dataset", ":material/dataset:"),
    "training": ("Training", ":material/model_training:"),
    "evaluation": ("Evaluation", ":material/monitoring:"),
    "policy": ("Policy", ":material/menu_book:"),
}


def path(name: str) -> Path:
    """The page's file."""
    return _FOLDER / f"{name}.py"


def go(name: str) -> None:
    """Leave for another page."""
    st.switch_page(path(name))
