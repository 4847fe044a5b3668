"""Pages as `python -m ui` serves them."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.runtime.pages_manager import PagesManager


@pytest.fixture(autouse=True)
def _router_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run begin with the router: AppTest would run a page of a folder `pages` alone."""
    begin = PagesManager.__init__

    def begin_with_router(self: PagesManager, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", begin_with_router)
