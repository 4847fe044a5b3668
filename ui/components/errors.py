"""Errors on a page: a sentence and what to do, never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler

import streamlit as st

from backend.errors import OverruleError
from backend.settings import get_settings
from ui.components import text

_KEPT = "error kept for the next run"
_LOG = logging.getLogger("overrule.ui")


@contextmanager
def shown() -> Iterator[None]:
    """Show an error where it happens; around a page, a fragment or an action.

    It works as a decorator too: `@st.fragment` above `@errors.shown()`.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001
        _show(*_in_words(error))


@contextmanager
def kept() -> Iterator[None]:
    """Keep an error for `show_kept`; around a callback, which runs before there is a page."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        st.session_state[_KEPT] = _in_words(error)


def show_kept() -> None:
    """Show what a callback could not do."""
    words = st.session_state.pop(_KEPT, None)
    if words is not None:
        _show(*words)


def _show(message: str, hint: str) -> None:
    st.error(text.lines(message, hint), icon=":material/error:")


def _in_words(error: Exception) -> tuple[str, str]:
    if isinstance(error, OverruleError):
        return error.message, error.hint
    _logger().error("A page failed", exc_info=error)
    return (
        "This did not work, for a reason that Overrule did not foresee.",
        f"What was saved is safe. Load the page again; if it stays, the details are in {_log_path()}.",
    )


def _log_path() -> str:
    return str(get_settings().home / "logs" / "app.log")


def _logger() -> logging.Logger:
    if not any(getattr(handler, "baseFilename", None) == _log_path() for handler in _LOG.handlers):
        for handler in list(_LOG.handlers):
            _LOG.removeHandler(handler)
            handler.close()
        (get_settings().home / "logs").mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            _log_path(), maxBytes=2_000_000, backupCount=3, encoding="utf-8", delay=True
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        _LOG.addHandler(handler)
    return _LOG
