"""Parts of a page that follow what is under way."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from backend.db.models.jobs import JobState
from ui.components import errors

SECONDS = 2.0
"""How often a page looks at what is under way."""

UNDER_WAY = frozenset({JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.STOPPING})


def follow(draw: Callable[[], bool], *, under_way: bool) -> None:
    """Draw something, and draw it again every two seconds while it is under way.

    Args:
        draw: draws it and tells whether it is still under way.
        under_way: whether it was when the page was drawn; a page at rest asks for nothing.
    """

    def fragment() -> None:
        errors.show_kept()
        with errors.shown():
            if not draw() and under_way:
                # The whole page has something new to say, and no more reason to keep looking.
                st.rerun()

    st.fragment(fragment, run_every=SECONDS if under_way else None)()
