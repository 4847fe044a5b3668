"""JSON and JSON Lines: objects, each a row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from backend.errors import InvalidInputError
from backend.intake.raw import Broken, Row

_BLOCK = 1 << 20
# Characters of one value; without an end a broken file would be read into memory whole.
_LONGEST = 1 << 26
HINT = 'It should be a list of objects, {"data": [...]}, or one object a line.'
_SPACE = re.compile(r"[\s,]*")


def columns_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """The keys of the rows, in the order in which they first occur."""
    return tuple(dict.fromkeys(key for row in rows for key in row.cells))


def is_lines(path: Path, encoding: str, *, named: bool) -> bool:
    """Whether a file holds one object a line, whatever its name says.

    Args:
        named: whether its name says so; it then does, unless it begins with a list.
    """
    with _open(path, encoding) as file:
        first = file.readline(_LONGEST)
        while first.isspace():
            first = file.readline(_LONGEST)
        if named:
            return not first.startswith("[")
        value = _loads(first) if first.startswith("{") else None
        if not isinstance(value, dict):
            return False
        second = next(
            (line for line in iter(lambda: file.readline(_LONGEST), "") if not line.isspace()), None
        )
    if second is None:
        # A single object is a row, unless it wraps the list of rows.
        lists = (one for one in value.values() if isinstance(one, list))
        return not any(one and all(isinstance(row, dict) for row in one) for one in lists)
    return second.startswith("{")


def read_lines(path: Path, encoding: str) -> Iterator[Row | Broken]:
    """One object a line; a line that is none is broken."""
    with _open(path, encoding) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            value = _loads(line)
            if isinstance(value, dict):
                yield Row(number, value)
            else:
                yield Broken(number, "it is not a JSON object")


def read_json(path: Path, name: str, encoding: str) -> Iterator[Row | Broken]:
    """The objects of the file's list, read one after another.

    Raises:
        InvalidInputError: there is no list, or the file breaks off.
    """
    with _open(path, encoding) as file:
        stream = _Stream(file, name)
        stream.enter_list()
        while (found := stream.element()) is not None:
            line, value = found
            if isinstance(value, dict):
                yield Row(line, value)
            else:
                yield Broken(line, "it is not a JSON object")


class _Stream:
    """A JSON text that is parsed value by value, with a buffer no longer than it needs."""

    def __init__(self, file: TextIO, name: str) -> None:
        self._file = file
        self._name = name
        self._buffer = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._decoder = json.JSONDecoder(strict=False)

    def enter_list(self) -> None:
        """Go to the first element of the list: the file's own, or the first that its object holds."""
        opening = self._peek()
        if opening == "[":
            self._at += 1
            return
        if opening != "{":
            raise self._error("it does not begin with a list or an object")
        self._at += 1
        while self._peek() not in ("}", ""):
            self._value()
            if self._peek() != ":":
                raise self._error("a name without a value")
            self._at += 1
            if self._peek() == "[":
                self._at += 1
                return
            self._value()
        raise self._error("it holds no list")

    def element(self) -> tuple[int, Any] | None:
        """The list's next element with its line; None at the list's end."""
        if self._peek() == "]":
            return None
        line = self._line
        return line, self._value()

    def _peek(self) -> str:
        """The next character that is neither space nor comma; empty at the file's end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            end = match.end() if match else self._at
            self._line += self._buffer.count("\n", self._at, end)
            self._at = end
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def _value(self) -> Any:
        if self._peek() == "":
            raise self._error("it breaks off")
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except (ValueError, RecursionError) as error:
                hopeless = isinstance(error, RecursionError) or len(self._buffer) - self._at > _LONGEST
                if hopeless or not self._more():
                    raise self._error("this is not JSON") from error
                continue
            # A number at the buffer's end may go on in the next block.
            if end == len(self._buffer) and self._more():
                continue
            self._line += self._buffer.count("\n", self._at, end)
            self._at = end
            return value

    def _more(self) -> bool:
        if self._ended:
            return False
        # As much again as is held: a value longer than a block is not parsed over and over.
        block = self._file.read(max(_BLOCK, len(self._buffer) - self._at))
        self._ended = not block
        self._buffer = self._buffer[self._at :] + block
        self._at = 0
        return bool(block)

    def _error(self, why: str) -> InvalidInputError:
        return InvalidInputError(f"{self._name} cannot be read: line {self._line}: {why}.", HINT)


def _open(path: Path, encoding: str) -> TextIO:
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    return path.open(encoding=encoding, errors=errors)


def _loads(line: str) -> Any:
    try:
        return json.loads(line, strict=False)
    except (ValueError, RecursionError):
        return None
