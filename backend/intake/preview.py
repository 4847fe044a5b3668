"""A look at a file before it is imported."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from backend.errors import InvalidInputError
from backend.intake.cells import as_text
from backend.intake.columns import ColumnMapping, Purpose, guess_mapping
from backend.intake.readers import Table, open_table
from backend.intake.reports import Preview, Rejected
from backend.intake.rows import Answered, Post, read_answer, read_post
from backend.intake.scan import Scan, choose_none, parse, scan

_SHOWN = 20


def preview(
    source: Path,
    *,
    mapping: ColumnMapping | None = None,
    purpose: Purpose = Purpose.POSTS,
    file_name: str | None = None,
) -> Preview:
    """The beginning of a file with a guess at its columns, or with the columns as chosen.

    Raises:
        InvalidInputError: the file cannot be read at all.
    """
    table = open_table(source, file_name)
    mapping = mapping or guess_mapping(table.columns, table.sample, purpose)
    found, problems = Scan(), []
    try:
        mapping.check(table.columns, purpose)
        found = scan(table.head, mapping)
        problems = _unusable(table, mapping, purpose)
    except InvalidInputError as error:
        problems = [str(error)]
    rows = [
        {column: as_text(row.cells.get(column)) for column in table.columns} for row in table.head[:_SHOWN]
    ]
    return Preview(
        format=table.format,
        encoding=table.encoding,
        columns=table.columns,
        rows=tuple(rows),
        mapping=mapping,
        labels=dict(found.found.most_common()),
        none_label=choose_none(None, None, found.found, known=None).label,
        problems=tuple(problems[:_SHOWN]),
    )


def _unusable(table: Table, mapping: ColumnMapping, purpose: Purpose) -> list[str]:
    """The rows that would be left out of those that were looked at, in sentences."""
    reader = read_answer if purpose is Purpose.ANSWERS else read_post
    rows: list[Post | Answered | Rejected] = list(islice(parse(table, mapping, reader), len(table.head)))
    return [f"Line {one.line}: {one.why}." for one in rows if isinstance(one, Rejected)]
