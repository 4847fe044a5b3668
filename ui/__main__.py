"""`python -m ui`: serve the pages. What follows goes to Streamlit, such as `--server.port=8600`.

It ends with the process that started it, so that a killed start command leaves no app behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web import cli

_LOOK = 1.0
"""Seconds between two looks at the parent."""


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run Streamlit on the router."""
    # For a folder named pages Streamlit serves its files by themselves until the router has run
    # once: a tab that loads again after a restart would see its page without the frame.
    PagesManager.uses_pages_directory = False
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    sys.argv = ["streamlit", "run", str(Path(__file__).with_name("app.py")), *sys.argv[1:]]
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
