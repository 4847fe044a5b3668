"""Paging by key: the way back is kept in the session, for a key only leads onwards."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True, slots=True)
class Pager:
    """Where a list stands. `starts` are the keys that its pages so far began after."""

    key: str
    starts: tuple[int, ...]

    @property
    def after(self) -> int | None:
        """The key to ask after; None on the first page."""
        return self.starts[-1] if self.starts else None

    @property
    def page(self) -> int:
        """Which page it is, from 0."""
        return len(self.starts)

    def buttons(self, next_after: int | None, *, words: str = "") -> None:
        """Buttons to the pages before and after; nothing where there is but one page."""
        if next_after is None and not self.starts:
            if words:
                st.caption(words)
            return
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            if words:
                st.caption(words, width="stretch")
            st.button(
                "Back",
                icon=":material/chevron_left:",
                key=f"{self.key}-back",
                disabled=not self.starts,
                on_click=_go,
                args=(self.key, self.starts[:-1]),
            )
            st.button(
                "Next",
                icon=":material/chevron_right:",
                icon_position="right",
                key=f"{self.key}-next",
                disabled=next_after is None,
                on_click=_go,
                args=(self.key, (*self.starts, next_after)),
            )


def pager(key: str, *, of: object = None) -> Pager:
    """The pager of a list; it begins anew when what is listed (`of`) changes.

    Args:
        key: tells lists apart.
        of: what is listed: a filter, a version.
    """
    name, listed = f"{key} pages", f"{key} list"
    if st.session_state.get(listed) != of:
        st.session_state[listed] = of
        st.session_state[name] = ()
    return Pager(key, st.session_state.get(name, ()))


def _go(key: str, starts: tuple[int, ...]) -> None:
    st.session_state[f"{key} pages"] = starts
