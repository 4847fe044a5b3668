"""Writing dataset versions and decisions to files, row after row, whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Row
from sqlalchemy.orm import Session

from backend.curation.repository import DatasetRepository, StoredRow
from backend.curation.views import Format
from backend.errors import NotFoundError, OverruleError
from backend.policies.service import PolicyService
from training.policy import NONE_NAME, Policy
from training.prompt import FORMS, Answer, Form, answer_text, system_message

_T = TypeVar("_T")
Record = Mapping[str, Any]
OnProgress = Callable[[int, int | None], None]

SEPARATOR = "|"
"""Between the labels in a spreadsheet's cell."""

# A cell that begins so is a formula to a spreadsheet, in full width in some languages too.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")

_STRINGS = pa.list_(pa.string())
_ROWS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("split", pa.string()),
        ("labels", _STRINGS),
        ("analysis", pa.string()),
        ("harmful", _STRINGS),
        ("origin", pa.string()),
    ]
)
_DECISIONS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("teacher", pa.string()),
        ("teacher_labels", _STRINGS),
        ("teacher_analysis", pa.string()),
        ("teacher_harmful", _STRINGS),
        ("agreement", pa.string()),
        ("labels", _STRINGS),
        ("decided_by", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("harmful", _STRINGS),
        ("person", pa.string()),
        ("decided_at", pa.timestamp("us", tz="UTC")),
        ("policy_version", pa.int64()),
    ]
)


def export_version(
    session: Session,
    version_id: int,
    format: Format,
    path: Path,
    on_progress: OnProgress | None = None,
) -> int:
    """Write a dataset version.

    JSONL holds chats (system, user, assistant), one line for each form in which a row can be
    learned; CSV and Parquet hold one row for each item. CSV is for spreadsheets: a cell that
    one could take for a formula gets an apostrophe before it.

    Returns:
        How many lines or rows were written.

    Raises:
        NotFoundError: there is no such version.
        OverruleError: the file cannot be written; nothing half-written is left.
    """
    repository = DatasetRepository(session)
    version = repository.by_id(version_id)
    if version is None:
        raise NotFoundError(f"There is no dataset version with the id {version_id}.", "Choose another.")
    total = sum(version.counts["rows"].values())
    chunks = _watched(repository.stored(version_id), total, on_progress)
    if format == "jsonl":
        policies = PolicyService(session)
        policy = policies.training_policy(policies.get(version.policy_version_id))
        return _write(path, format, _ROWS, (_chats(chunk, policy) for chunk in chunks))
    return _write(path, format, _ROWS, ([_row(row) for row in chunk] for chunk in chunks))


def export_decisions(
    session: Session,
    project_id: int,
    format: Format,
    path: Path,
    on_progress: OnProgress | None = None,
) -> int:
    """Write what stands for each item: post, teacher's answer, decision, who and when.

    `labels` is null (in CSV empty) where people dropped the item; "none" in CSV is no violation.

    Returns:
        How many decisions were written.

    Raises:
        OverruleError: the file cannot be written; nothing half-written is left.
    """
    repository = DatasetRepository(session)
    chunks = _watched(repository.decisions(project_id), repository.decided(project_id), on_progress)
    return _write(path, format, _DECISIONS, ([_decision(row) for row in chunk] for chunk in chunks))


def _watched(
    chunks: Iterable[Sequence[_T]], total: int, on_progress: OnProgress | None
) -> Iterator[Sequence[_T]]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if on_progress is not None:
            on_progress(done, total)


def _row(row: StoredRow) -> Record:
    return {
        "id": row.external_id,
        "text": row.text,
        "split": row.split.value,
        "labels": list(row.labels),
        "analysis": row.analysis,
        "harmful": list(row.harmful),
        "origin": row.origin,
    }


def _chats(rows: Sequence[StoredRow], policy: Policy) -> list[Record]:
    return [
        _chat(row, policy, form)
        for row in rows
        for form in FORMS
        if form == "direct" or row.analysis is not None
    ]


def _chat(row: StoredRow, policy: Policy, form: Form) -> Record:
    answer = Answer(row.labels, row.analysis, row.harmful)
    return {
        "messages": [
            {"role": "system", "content": system_message(policy, form)},
            {"role": "user", "content": row.text},
            {"role": "assistant", "content": answer_text(policy, form, answer)},
        ],
        "id": row.external_id,
        "labels": list(row.labels),
        "split": row.split.value,
        "form": form,
    }


def _decision(row: Row[Any]) -> Record:
    return {
        "id": row.external_id,
        "text": row.text,
        "split": row.split.value,
        "source": row.origin,
        "teacher": row.model,
        "teacher_labels": _list(row.answer_labels),
        "teacher_analysis": row.analysis,
        "teacher_harmful": _list(row.answer_harmful),
        "agreement": row.agreement.value,
        "labels": _list(row.labels),
        "decided_by": row.source.value,
        "verdict": row.verdict.value if row.verdict is not None else None,
        "reason": row.reason,
        "harmful": _list(row.harmful),
        "person": row.person,
        "decided_at": row.created_at,
        "policy_version": row.policy_version,
    }


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)


def _write(path: Path, format: Format, schema: pa.Schema, chunks: Iterable[Sequence[Record]]) -> int:
    writers: dict[Format, Callable[[Path, pa.Schema, Iterable[Sequence[Record]]], int]] = {
        "jsonl": _write_jsonl,
        "csv": _write_csv,
        "parquet": _write_parquet,
    }
    with _aside(path) as partial:
        return writers[format](partial, schema, chunks)


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A file to write that takes its name only when it is complete."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OverruleError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Choose another place, or make room there.",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _write_jsonl(path: Path, _schema: pa.Schema, chunks: Iterable[Sequence[Record]]) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for chunk in chunks:
            for record in chunk:
                file.write(json.dumps(record, ensure_ascii=False, default=_plain) + "\n")
            written += len(chunk)
    return written


def _write_csv(path: Path, schema: pa.Schema, chunks: Iterable[Sequence[Record]]) -> int:
    # Spreadsheets take a file without the mark at its beginning for another encoding.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        return _write_cells(file, schema.names, chunks)


def _write_cells(file: TextIO, names: Sequence[str], chunks: Iterable[Sequence[Record]]) -> int:
    writer = csv.writer(file)
    writer.writerow(names)
    written = 0
    for chunk in chunks:
        writer.writerows([cell(name, record[name]) for name in names] for record in chunk)
        written += len(chunk)
    return written


def _write_parquet(path: Path, schema: pa.Schema, chunks: Iterable[Sequence[Record]]) -> int:
    written = 0
    with pq.ParquetWriter(path, schema) as writer:
        for chunk in chunks:
            writer.write_table(pa.Table.from_pylist(list(chunk), schema=schema))
            written += len(chunk)
    return written


def cell(name: str, value: Any) -> str:
    """A value as a spreadsheet's cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, list):
        text = _label_cell(value) if name.endswith("labels") else json.dumps(value, ensure_ascii=False)
    else:
        text = str(_plain(value)) if not isinstance(value, str) else value
    return f"'{text}" if text.startswith(_FORMULA) else text


def _label_cell(labels: Sequence[str]) -> str:
    return SEPARATOR.join(labels) or NONE_NAME


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
