"""CSV and its relatives.

The standard library's reader rather than a frame's: it alone tells at which line a record
starts, and it goes on after a broken one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from backend.errors import InvalidInputError
from backend.intake.raw import Broken, Row, name_columns

_DELIMITERS = (",", ";", "\t", "|")
# Stands for "no delimiter": a character that no file separates its cells with.
_SINGLE = "\x1f"
_SNIFFED = 65_536
_SNIFFED_RECORDS = 100

# The library's own limit of 131,072 characters would stop at a long post with an error of its
# own; ours are told apart later, by column. This one only bounds what is held in memory.
csv.field_size_limit(1 << 26)


def open_delimited(
    path: Path, name: str, encoding: str, delimiter: str | None
) -> tuple[tuple[str, ...], Callable[[], Iterator[Row | Broken]]]:
    """Columns and reader of a delimited file.

    Args:
        delimiter: None where it is to be told from the first records.

    Raises:
        InvalidInputError: there is no header.
    """
    with _open(path, encoding) as file:
        sample = file.read(_SNIFFED)
        whole = not file.read(1)
    skipped, sample = _spreadsheet_hint(sample)
    if skipped:
        delimiter = skipped
    delimiter = delimiter or _sniff(sample, whole)
    header = next(
        (record for record in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if record),
        None,
    )
    if header is None or not any(cell.strip() for cell in header):
        raise InvalidInputError(f"{name} has no header.", "Its first line should name the columns.")
    while len(header) > 1 and not header[-1].strip():
        header.pop()
    columns = name_columns(header)
    return columns, lambda: _read(path, encoding, delimiter, columns)


class _Lines:
    """A file's lines; `ended` once the reader asked for one more than there are."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            self.ended = True
            raise StopIteration
        return line


def _open(path: Path, encoding: str) -> TextIO:
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    return path.open(encoding=encoding, errors=errors, newline="")


def _spreadsheet_hint(sample: str) -> tuple[str | None, str]:
    """Excel's first line "sep=;", which is no header."""
    first, _, rest = sample.partition("\n")
    first = first.strip().lower()
    if first.startswith("sep=") and len(first) == len("sep=;"):
        return first[-1], rest
    return None, sample


def _sniff(sample: str, whole: bool) -> str:
    """The delimiter under which the most records have as many cells as the header."""
    best, most = _SINGLE, (0.0, 0)
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        records = [record for record, _ in zip(reader, range(_SNIFFED_RECORDS), strict=False) if record]
        if not whole and len(records) > 1 and len(records) < _SNIFFED_RECORDS:
            records.pop()  # cut off where the sample ends
        if not records or (width := len(records[0])) < 2:
            continue
        score = sum(len(record) == width for record in records) / len(records), width
        if score > most:
            best, most = delimiter, score
    return best


def _read(path: Path, encoding: str, delimiter: str, columns: tuple[str, ...]) -> Iterator[Row | Broken]:
    with _open(path, encoding) as file:
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=delimiter)
        header_seen = False
        while True:
            start = reader.line_num + 1
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Broken(start, f"it cannot be read ({error}); a quote may not be closed")
                continue
            if not record or (len(record) == 1 and not record[0].strip() and len(columns) > 1):
                continue
            if not header_seen:
                header_seen = not (start == 1 and _is_spreadsheet_hint(record, delimiter))
                continue
            yield _row(record, start, reader.line_num, columns, unclosed=lines.ended)


def _is_spreadsheet_hint(record: list[str], delimiter: str) -> bool:
    return delimiter.join(record).strip().lower() == f"sep={delimiter}"


def _row(
    record: list[str], start: int, end: int, columns: tuple[str, ...], *, unclosed: bool
) -> Row | Broken:
    where = f", lines {start} to {end} read as one" if end > start else ""
    if unclosed:
        return Broken(start, f"a quote that opens here is never closed{where}")
    cells = len(record)
    if cells > len(columns) and not any(cell.strip() for cell in record[len(columns) :]):
        del record[len(columns) :]
    elif cells != len(columns):
        more = "; a post with a delimiter or a line break in it needs quotes"
        return Broken(start, f"it has {cells} cells and the header {len(columns)}{where}{more}")
    return Row(start, dict(zip(columns, record, strict=True)))
