"""The dot that says whether a worker is alive."""

from __future__ import annotations

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.jobs.service import JobService
from ui.components import errors, text

_DOT = Markup('<div class="ov-worker"><span class="ov-dot {}"></span>{}</div>')


@st.fragment(run_every="10s")
@errors.shown()
def worker_dot() -> None:
    """Draw the dot and its words, and look again every ten seconds."""
    with get_database().read() as session:
        worker = JobService(session).worker()
    if worker.alive:
        text.show(_DOT.format("ov-dot-on", "Worker is running"))
        return
    text.show(_DOT.format("ov-dot-off", "No worker is running: jobs wait"))
    st.caption("Start one with `overrule worker`.")
