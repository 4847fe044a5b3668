"""Files as rows with line numbers, whatever their format; no file is held in memory whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from backend.errors import InvalidInputError
from backend.intake import delimited, objects
from backend.intake.encodings import text_encoding
from backend.intake.raw import Broken, Row

FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "xlsx")

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
# From so many rows columns, separators and labels are guessed.
_LOOKED_AT = 2_000


@dataclass(frozen=True, slots=True)
class Table:
    """An opened file.

    Args:
        read: starts from the first row at every call. A row that cannot be read at all comes
            as `Broken`; a file that turns out unreadable raises InvalidInputError.
    """

    name: str
    format: str
    encoding: str | None
    columns: tuple[str, ...]
    read: Callable[[], Iterator[Row | Broken]]
    head: tuple[Row, ...] = field(default=())

    @property
    def sample(self) -> Sequence[dict[str, Any]]:
        """The cells of the first rows, to guess from."""
        return [row.cells for row in self.head]


def open_table(path: Path, name: str | None = None) -> Table:
    """Open a file; its format follows from its name and, where that says nothing, its content.

    Args:
        name: what the person calls the file, where it lies under another name.

    Raises:
        InvalidInputError: it cannot be read at all.
    """
    name = name or path.name
    if not path.is_file():
        raise InvalidInputError(f"There is no file {path}.", "Check the name.")
    if path.stat().st_size == 0:
        raise InvalidInputError(f"{name} is empty.", "Import a file with a header and at least one row.")
    try:
        table = _open(path, name, _format(path, name))
        looked_at = list(islice(table.read(), _LOOKED_AT))
    except UnicodeError as error:
        raise _undecodable(name) from error
    head = tuple(row for row in looked_at if isinstance(row, Row))
    columns = table.columns or objects.columns_of(head)
    if not columns:
        why = "".join(f": line {row.line}: {row.why}" for row in looked_at[:1] if isinstance(row, Broken))
        raise InvalidInputError(f"{name} has no rows that can be read{why}.", objects.HINT)
    return Table(name, table.format, table.encoding, columns, _guarded(table), head)


def _format(path: Path, name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix in (".xls", ".ods"):
        raise InvalidInputError(f"{name} is in an old or other workbook format.", "Save it as .xlsx or .csv.")
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "xlsx"
    begin = head.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1]
    return {b"[": "json", b"{": "json"}.get(begin, "csv")


def _open(path: Path, name: str, kind: str) -> Table:
    if kind in ("parquet", "xlsx"):
        # Both libraries take long to load, and most files need neither.
        from backend.intake import sheets

        columns, read = sheets.parquet(path, name) if kind == "parquet" else sheets.xlsx(path, name)
        return Table(name, kind, None, columns, read)
    encoding = text_encoding(path, name)
    if kind in ("json", "jsonl"):
        kind = "jsonl" if objects.is_lines(path, encoding, named=kind == "jsonl") else "json"
    if kind == "json":
        return Table(name, kind, encoding, (), lambda: objects.read_json(path, name, encoding))
    if kind == "jsonl":
        return Table(name, kind, encoding, (), lambda: objects.read_lines(path, encoding))
    columns, read = delimited.open_delimited(path, name, encoding, "\t" if kind == "tsv" else None)
    return Table(name, kind, encoding, columns, read)


def _guarded(table: Table) -> Callable[[], Iterator[Row | Broken]]:
    def read() -> Iterator[Row | Broken]:
        try:
            yield from table.read()
        except UnicodeError as error:
            raise _undecodable(table.name) from error

    return read


def _undecodable(name: str) -> InvalidInputError:
    return InvalidInputError(
        f"{name} begins as Unicode text and then breaks off.", "Save it as UTF-8 and import that."
    )
