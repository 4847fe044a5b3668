"""Single cells: whatever a format holds, as text or as plain values for metadata."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

LONGEST = 100_000
"""Characters in one cell; a post beyond that is no post that anyone moderates."""

UNUSABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that no database can keep, and what a byte that is not UTF-8 was read as."""


class CellError(ValueError):
    """A cell cannot be used; the message says why."""


def as_text(value: Any) -> str:
    """A cell as text; nothing at all is the empty text.

    A whole number that a sheet keeps as a fraction loses its ".0", so that ids stay ids.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(plain(value), ensure_ascii=False)
    return str(value)


def plain(value: Any) -> Any:
    """A cell as JSON can keep it: what is not a number, text, list or object becomes text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {as_text(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return as_text(value)


def check(column: str, value: Any) -> None:
    """Refuse a cell that no database can keep or that is far too long.

    Raises:
        CellError: with the column and the reason.
    """
    length = 0
    for text in _texts(value):
        length += len(text)
        if (found := UNUSABLE.search(text)) is not None:
            raise CellError(f"{column} has {_named(found[0])}")
    if length > LONGEST:
        raise CellError(f"{column} has {length:,} characters; at most {LONGEST:,} are read")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a cell, those within lists and objects too."""
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield as_text(key)
            yield from _texts(one)
    else:
        yield as_text(value)


def _named(character: str) -> str:
    if character == "\0":
        return "a NUL byte"
    if "\udc80" <= character <= "\udcff":
        return "bytes that are not UTF-8"
    return "half a character (a lone surrogate)"
