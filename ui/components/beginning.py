"""What every page says before there is a project."""

from __future__ import annotations

from ui.components.empty import empty
from ui.components.heading import heading
from ui.components.pages import go


def no_project(title: str) -> None:
    """The page's title, and the way to the first project."""
    heading(title)
    pressed = empty(
        "No project yet",
        "A project holds your posts, the policy they are judged under, and every student that learns "
        "from them. Importing posts makes one.",
        action="Go to Overview to import",
        key=f"no-project-{title.lower()}",
    )
    if pressed:
        go("overview")
