"""Text as the database keeps and compares it, and as sentences have it."""

from __future__ import annotations

import hashlib
import unicodedata


def normalise(text: str) -> str:
    """Unicode NFKC and single spaces: two posts that differ in nothing else are one."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def text_hash(text: str) -> str:
    """sha256 (hex) of the normalised text."""
    return hashlib.sha256(normalise(text).encode("utf-8", "surrogatepass")).hexdigest()


def things(number: int, one: str) -> str:
    """(1, "post") → 1 post; (1200, "post") → 1,200 posts."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"


def as_sentence(reason: str) -> str:
    """A reason with a capital and a full stop; a name that it begins with stays as it is written."""
    reason = reason.strip()
    first = reason.split(" ", 1)[0]
    if first.isalpha() and first.islower():
        reason = reason[0].upper() + reason[1:]
    return reason if reason.endswith((".", "!", "?", "…")) else f"{reason}."
