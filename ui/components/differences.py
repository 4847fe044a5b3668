"""What two models differ by in each category, and how sure that is."""

from __future__ import annotations

import streamlit as st

from backend.evaluation.comparison import p_text
from backend.evaluation.results import Comparison
from ui.components import figures, numbers, text
from ui.components.labels import Looks


def draw(found: Comparison, looks: Looks) -> None:
    """What the two differ by in each category, and how often only one of them has it right."""
    st.caption(
        "Differences with their 95% interval (paired bootstrap). The first p is of no difference in F1, the "
        "second of being right as often (exact McNemar test), both corrected for all categories being "
        "looked at (Holm). Where the p of F1 is below .05, the sentence above calls it a difference. An "
        "interval is of its category alone, as if it were the only one looked at. Right is each post that "
        f"has the category and is given it, or neither, of all {numbers.things(found.posts, 'post')}."
    )
    heads = ["Category", "Posts", "F1: difference", "p (F1)", "AUPRC: difference"]
    heads += [f"Only {found.a_name} right", f"Only {found.b_name} right", "p (right as often)"]
    rows = [
        (
            looks.chip(one.code),
            numbers.count(one.support),
            figures.difference(one.f1.difference, one.f1.low, one.f1.high, coloured=one.clear),
            p_text(one.f1_p),
            figures.difference(one.auprc.difference, one.auprc.low, one.auprc.high),
            numbers.count(one.only_a_right),
            numbers.count(one.only_b_right),
            p_text(one.mcnemar_p),
        )
        for one in found.categories
    ]
    text.show(figures.table(heads, rows, numbers=(1, 3, 5, 6, 7)))
