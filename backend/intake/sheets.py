"""Parquet files and Excel workbooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from backend.errors import InvalidInputError
from backend.intake.cells import as_text
from backend.intake.raw import Broken, Row, name_columns

_BATCH = 2_000
_BROKEN_PARQUET = (pa.ArrowException, ValueError, OverflowError, OSError)

Reader = Callable[[], Iterator[Row | Broken]]


def parquet(path: Path, name: str) -> tuple[tuple[str, ...], Reader]:
    """Columns and reader of a Parquet file; a row's line is the record's number.

    Raises:
        InvalidInputError: it is not one.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns = name_columns(file.schema_arrow.names)
    except _BROKEN_PARQUET as error:
        raise _unreadable(name, "a Parquet file", error) from error

    def read() -> Iterator[Row | Broken]:
        line = 0
        try:
            with pq.ParquetFile(path) as opened:
                for batch in opened.iter_batches(batch_size=_BATCH):
                    for record in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                        line += 1
                        yield Row(line, dict(zip(columns, record, strict=True)))
        except _BROKEN_PARQUET as error:
            raise _unreadable(name, "a Parquet file", error) from error

    return columns, read


def xlsx(path: Path, name: str) -> tuple[tuple[str, ...], Reader]:
    """Columns and reader of a workbook's first sheet; a row's line is its number in the sheet.

    Raises:
        InvalidInputError: it is not one, or its first sheet has no header.
    """
    header = next(_records(path, name), None)
    if header is None:
        raise InvalidInputError(
            f"The first sheet of {name} is empty.", "Its first row should name the columns."
        )
    columns = name_columns(as_text(cell) for cell in _without_empty_end(header[1]))

    def read() -> Iterator[Row | Broken]:
        records = _records(path, name)
        next(records)
        for line, record in records:
            cells = _without_empty_end(record)
            if len(cells) > len(columns):
                yield Broken(line, f"it has {len(cells)} cells and the header {len(columns)}")
                continue
            filled = [*cells, *[None] * (len(columns) - len(cells))]
            yield Row(line, dict(zip(columns, filled, strict=True)))

    return columns, read


def _records(path: Path, name: str) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows of the first sheet that are not empty, with their numbers."""
    try:
        with warnings.catch_warnings():
            # Styles and pictures that the library does not know are not what is read here.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            # Some programs write a wrong size into the sheet; without it all rows are read.
            sheet.reset_dimensions()
            for line, record in enumerate(sheet.iter_rows(values_only=True), 1):
                if any(cell is not None and cell != "" for cell in record):
                    yield line, record
        finally:
            book.close()
    except IndexError as error:
        raise InvalidInputError(f"{name} has no sheet with rows.", "Save the sheet as CSV.") from error
    # A broken workbook makes the library, and what it unpacks with, raise nearly anything.
    except Exception as error:
        raise _unreadable(name, "an Excel workbook", error) from error


def _without_empty_end(record: tuple[Any, ...]) -> list[Any]:
    cells = list(record)
    while cells and (cells[-1] is None or cells[-1] == ""):
        cells.pop()
    return cells


def _unreadable(name: str, what: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        f"{name} cannot be read as {what} ({str(error).splitlines()[0][:200] if str(error) else error!r}).",
        "Save it again, or as CSV.",
    )
