"""Writing the trainer's folder and reading what it leaves there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from backend.errors import OverruleError
from training.job import THRESHOLDS, Job

VALIDATION = "validation"
LEARNED = "learned"
"""The set of those rows that are learned and scored too."""

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("analysis", pa.string()),
        ("harmful", pa.list_(pa.string())),
    ]
)
_PAIR_SCHEMA = pa.schema(
    [
        *_SCHEMA,
        *(_SCHEMA.field(name).with_name(f"rejected_{name}") for name in ("labels", "analysis", "harmful")),
    ]
)
# All refused rows are counted; only so many are listed in the database.
_REFUSED_KEPT = 50


def set_name(set_id: int) -> str:
    """A set's name in the job's folder; the name that people gave it may be no file's name."""
    return f"set-{set_id}"


def write_rows(path: Path, frames: Iterable[pd.DataFrame]) -> int:
    """Write training rows chunk by chunk, whole or not at all.

    Args:
        path: the parquet file.
        frames: columns id, text, labels, analysis, harmful.

    Returns:
        How many rows were written.
    """
    return _write(path, frames, _SCHEMA)


def write_pairs(path: Path, frames: Iterable[pd.DataFrame]) -> int:
    """Write pairs likewise: the same columns, and rejected_labels, rejected_analysis, rejected_harmful."""
    return _write(path, frames, _PAIR_SCHEMA)


def write_texts(path: Path, frame: pd.DataFrame) -> int:
    """Write posts to score likewise: of the columns only id and text."""
    return _write(path, [frame], pa.schema([_SCHEMA.field("id"), _SCHEMA.field("text")]))


def _write(path: Path, frames: Iterable[pd.DataFrame], schema: pa.Schema) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    rows = 0
    try:
        with pq.ParquetWriter(aside, schema) as writer:
            for frame in frames:
                writer.write_table(_table(frame, schema))
                rows += len(frame)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return rows


def _table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    columns = {field.name: _values(frame[field.name], field.type) for field in schema}
    return pa.table(columns | {"id": [str(value) for value in frame["id"]]}, schema=schema)


def _values(column: pd.Series[Any], kind: pa.DataType) -> list[Any]:
    """Lists and texts as Arrow takes them; what pandas has for a missing text is none."""
    if pa.types.is_list(kind):
        return [list(value) for value in column]
    return [value if isinstance(value, str) else None for value in column]


def is_prepared(folder: Path) -> bool:
    """Whether the folder is complete: its `job.json` is written last, and can be read."""
    try:
        Job.read(folder)
    except (OSError, ValueError):
        return False
    return True


def read_result(folder: Path) -> dict[str, Any] | None:
    """What the trainer said of how it ended; None where it said nothing."""
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return result


def kept_result(folder: Path) -> dict[str, Any]:
    """What of the trainer's result is kept with the run: all but the long lists, and its own figures.

    Raises:
        OverruleError: there is no result of a job that was done.
    """
    result = read_result(folder)
    if result is None or result.get("status") != "done":
        raise OverruleError(f"The trainer left no finished result in {folder}.", "Resume the job.")
    for rows in result.get("rows", {}).values():
        rows["refused"] = rows.get("refused", [])[:_REFUSED_KEPT]
    result["metrics"] = json.loads((folder / "metrics.json").read_text("utf-8"))
    return result


def read_predictions(folder: Path, name: str, *, by: str = "") -> pd.DataFrame:
    """The probabilities of one set: id, p_<code>…, any_violation, valid_mass.

    Args:
        folder: the job's.
        name: the set's name there.
        by: whose they are: the job's own model, or `training.job.BASE` or `BEFORE_PREFERENCE`.
    """
    return pd.read_parquet(_predictions(folder, name, by))


def read_for_thresholds(folder: Path, *, by: str = "") -> pd.DataFrame:
    """The probabilities of the posts that thresholds are chosen on."""
    return read_predictions(folder, THRESHOLDS, by=by)


def has_predictions(folder: Path, name: str, *, by: str = "") -> bool:
    """Whether a set was scored."""
    return _predictions(folder, name, by).is_file()


def read_reasons(folder: Path, name: str) -> pd.DataFrame | None:
    """What the student wrote of a set's posts: id, analysis, harmful, labels (null where unreadable).

    None where that was not kept.
    """
    path = folder / "reasons" / f"{name}.parquet"
    return pd.read_parquet(path) if path.is_file() else None


def _predictions(folder: Path, name: str, by: str) -> Path:
    return folder / "predictions" / by / f"{name}.parquet"
