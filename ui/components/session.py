"""Who is here, in which browser, and on which project."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

import streamlit as st

from backend.db.engine import get_database
from backend.db.models import Project
from backend.projects.service import ProjectService
from backend.settings import get_settings
from ui.components import text

_BROWSER = "overrule_browser"
_PROJECT = "project"
_CHOSEN, _MOVES = "current project", "project chooser moves"
_ID = re.compile(r"[0-9a-f]{32}")


def person() -> str:
    """Who works here: without sign-in, the computer's user."""
    return get_settings().person


def browser_id() -> str:
    """What tells this browser from others.

    A reload begins a new Streamlit session, so the id lies in a cookie of the page's own: the
    browser then gets the item back that it had open.
    """
    if _BROWSER not in st.session_state:
        told = str(st.context.cookies.get(_BROWSER, ""))
        st.session_state[_BROWSER] = told if _ID.fullmatch(told) else uuid.uuid4().hex
    return str(st.session_state[_BROWSER])


def remember_browser() -> None:
    """Set the cookie where the browser did not send it; draws nothing that can be seen."""
    if st.context.cookies.get(_BROWSER) != browser_id():
        cookie = f"{_BROWSER}={browser_id()}; path=/; max-age=31536000; SameSite=Strict"
        st.html(f"<script>document.cookie = '{cookie}'</script>", unsafe_allow_javascript=True)


def projects() -> list[Project]:
    """All projects, by name."""
    with get_database().read() as session:
        return ProjectService(session).list()


def project() -> Project | None:
    """The chosen project; None while there is none at all."""
    return st.session_state.get(_CHOSEN)


def project_id() -> int:
    """The chosen project's id; for pages that were drawn because there is one."""
    chosen = project()
    if chosen is None:
        raise LookupError("no project is chosen")
    return chosen.id


def choose(wanted: int) -> None:
    """Make this project the chosen one from the next run on."""
    st.query_params[_PROJECT] = str(wanted)
    st.session_state.pop(_CHOSEN, None)
    # The chooser holds on to its own value; another key makes it a new one.
    st.session_state[_MOVES] = st.session_state.get(_MOVES, 0) + 1


def project_chooser() -> None:
    """Draw the chooser. The choice stands in the address, so that a reload or a link keeps it."""
    found = {project.id: project for project in projects()}
    if not found:
        st.session_state[_CHOSEN] = None
        return
    ids = list(found)
    chosen = st.selectbox(
        "Project",
        ids,
        index=ids.index(_present(found)),
        key=f"project chooser {st.session_state.get(_MOVES, 0)}",
        format_func=lambda each: found[each].name,
        label_visibility="collapsed",
    )
    st.query_params[_PROJECT] = str(chosen)
    st.session_state[_CHOSEN] = found[chosen]


def _present(found: Mapping[int, Project]) -> int:
    """The project that was chosen, or that the address names, or the first."""
    chosen = project()
    if chosen is not None and chosen.id in found:
        return chosen.id
    asked = st.query_params.get(_PROJECT, "")
    return next((each for each in found if str(each) == asked), next(iter(found)))


def project_name() -> str:
    """The chosen project's name, fit for headings and captions."""
    chosen = project()
    return text.label(chosen.name) if chosen else ""
