"""The router: the frame around every page, and which page it is."""

from __future__ import annotations

import streamlit as st

from ui.components import errors, frame
from ui.components.pages import PAGES, path

# A Material symbol here, or on a page, would be fetched from a foreign host as the tab's icon.
st.set_page_config(page_title="Overrule", page_icon=frame.ICON, layout="wide")

page = st.navigation(
    [st.Page(path(name), title=title, default=name == "overview") for name, (title, _) in PAGES.items()],
    position="hidden",
)
frame.draw()
with errors.shown():
    page.run()
