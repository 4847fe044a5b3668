"""What stands around every page: the style sheet and the side bar."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from markupsafe import Markup

from ui.components import errors, labels, session, text
from ui.components.pages import PAGES, path
from ui.components.worker import worker_dot

ICON = Path(__file__).with_name("icon.svg")
_STYLES = [Path(__file__).with_name(name) for name in ("style.css", "rows.css")]


def draw() -> None:
    """Draw the frame; the page follows."""
    styles = "\n".join(path.read_text("utf-8") for path in _STYLES)
    st.html(f"<style>{styles}\n{labels.styles()}\n{_above_the_app()}</style>")
    with st.sidebar, errors.shown():
        st.html('<div class="ov-name">Overrule</div>')
        session.project_chooser()
        with st.container(key="ov-here", gap="xxsmall"):
            text.show(Markup('<div class="ov-person">{}</div>').format(text.literal(session.person())))
            worker_dot()
        with st.container(key="ov-pages", gap="xxsmall"):
            for name, (title, icon) in PAGES.items():
                st.page_link(path(name), label=title, icon=icon, width="stretch")
        session.remember_browser()
    errors.show_kept()


def _above_the_app() -> str:
    """The scheme of what the browser draws above the app, where the app's own does not reach."""
    scheme = st.context.theme.type
    if scheme not in ("light", "dark"):
        return ""
    return f'.stDialog, [data-testid="stPopoverBody"] {{ color-scheme: {scheme}; }}'
