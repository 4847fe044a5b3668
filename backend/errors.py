"""Errors that a person can act on."""

from __future__ import annotations


class OverruleError(Exception):
    """Something went wrong that a person can understand and mend.

    Args:
        message: what is wrong, in one sentence.
        hint: what to do about it, in one sentence.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class NotFoundError(OverruleError):
    """A project, version, run, job or other thing that was named does not exist."""


class ConflictError(OverruleError):
    """What was asked for no longer fits what is stored: somebody else was faster."""


class InvalidInputError(OverruleError):
    """What was given cannot be used as it is."""
