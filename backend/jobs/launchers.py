"""Which launcher is used."""

from __future__ import annotations

from backend.jobs.launcher import Launcher, LocalLauncher
from backend.jobs.ray_launcher import RayLauncher
from backend.settings import Settings


def get_launcher(settings: Settings) -> Launcher:
    """The launcher that the settings name."""
    return RayLauncher(settings) if settings.launcher == "ray" else LocalLauncher(settings)
