"""What every command shares: the `--json` option, the project option, messages and progress."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
ProjectOption = Annotated[
    str | None, typer.Option("--project", "-p", help="Name or id; not needed where there is only one.")
]

# The share of the terminal's width that a table's first column may take, so that no word in it is broken.
_FOR_NAMES = 1 / 4

out = Console()
messages = Console(stderr=True)


def changes_of(given: Sequence[str]) -> dict[str, str]:
    """Settings by name from "name=value" each.

    Raises:
        typer.BadParameter: one is not of that form.
    """
    changes = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"{each!r} is not of the form name=value", param_hint="--set")
        changes[name.strip()] = value.strip()
    return changes


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(document, default=_plain, ensure_ascii=False, indent=2))


def print_facts(facts: Mapping[str, Any], indent: str = "") -> None:
    """Print what is known under each name as people read it; what is not known is left out."""
    for name, value in facts.items():
        if value is None or value in ("", {}, [], ()):
            continue
        nested = isinstance(value, Mapping)
        words = "" if nested else in_words(value)
        line = f"{indent}{name.replace('_', ' '):15} {words}".rstrip()
        out.print(line, markup=False, highlight=False, soft_wrap=True)
        if nested:
            print_facts(value, f"{indent}  ")


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table on standard output.

    What stands in it may come from a file: a bracket must not become a style, and no control character
    may steer the terminal. Where this is narrow a cell is wrapped, so that none loses its end, and the
    words of a line's first cell, which says what it is about, stay whole where they are not too long.
    """
    lines = list(rows)
    columns = [Column(_literal(head), overflow="fold") for head in heads]
    if sum(2 + max(map(len, column)) for column in zip(heads, *lines, strict=True)) > out.width:
        longest = max(len(word) for first, *_ in [heads, *lines] for word in first.split())
        columns[0].width = min(longest, int(out.width * _FOR_NAMES))
    table = Table(*columns, title=_literal(title or "") or None, title_justify="left", box=None)
    for line in lines:
        table.add_row(*map(_literal, line))
    out.print(table)


def _literal(text: str) -> Text:
    return Text("".join(each if each.isprintable() or each == "\n" else "�" for each in text))


def in_words(value: Any) -> str:
    """One value for people: yes, 0.3333, 22 Nov 2026 19:37, a list with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value.astimezone():%d %b %Y %H:%M}"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value))
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on standard error; call what it gives with (done, total or None)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
