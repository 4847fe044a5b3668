"""An empty page: what belongs here, and the step that brings it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def empty(
    title: str,
    body: str,
    *,
    icon: str = ":material/inbox:",
    action: str | None = None,
    on_click: Callable[..., None] | None = None,
    key: str = "empty",
) -> bool:
    """Draw an empty state; true in the run in which its button was pressed.

    Args:
        title: what is missing, in a few words of our own.
        body: what belongs here and how it gets here.
        icon: a Material symbol.
        action: the button's words; no button without.
        on_click: called before the page is drawn again.
        key: tells two empty states on one page apart.
    """
    with st.container(key=f"ov-empty-{key}", border=True, horizontal_alignment="center", gap="small"):
        st.markdown(f"### {icon} {title}", width="content", anchors=False)
        st.markdown(body, width="content", text_alignment="center")
        return action is not None and st.button(
            action, type="primary", key=f"{key}-action", on_click=on_click
        )
