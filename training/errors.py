"""The kind of error that comes again; without torch."""

from __future__ import annotations


class LastingError(Exception):
    """What the same job can never do: its settings, its data or its base model must change first."""
