"""What a finished run left: its student to take away, its model card, and the record of how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.db.models import Run
from backend.errors import OverruleError
from backend.runs.student import Student
from training.machine import MEGABYTE
from ui.components import figures, numbers, text

MOST_BYTES = 1_000_000_000
"""Streamlit holds a file in memory while a browser takes it; a larger one is written by the command."""

_ROWS = {"train": "Rows to learn", "validation": "Validation rows", "pairs": "Pairs to prefer"}
_PEAKS = {"process": "of the process", "gpu": "of the GPU"}
_HASHES = {"job": "settings", "policy": "policy", "prompt": "prompt"}
_FILES = {"train.parquet": "rows to learn", "validation.parquet": "validation rows", "pairs.parquet": "pairs"}
_SHORT = 16
"""Of a hash so many digits tell two apart; the rest is its title."""
_WEIGHTS = {"float32": "fp32", "bfloat16": "bf16"}
_SHORTEST = 0.5
"""Seconds of a phase that is worth telling of."""
_LINES = Markup("<br>")
_HASH = Markup('{} <code title="{}">{}…</code>')


def download(run: Run) -> None:
    """The button that takes the student away as one zip file, put together when it is pressed."""
    student = _student(run)
    if student is None:
        return
    size = student.size
    if size > MOST_BYTES:
        st.caption(
            f"The student has {numbers.size(size)}, which is much for a browser: "
            f"`overrule runs export {run.number} --out {student.name}.zip` writes it to a file."
        )
        return
    what = "model" if run.config.get("method") == "full" else "adapter"

    def written() -> bytes:
        with TemporaryDirectory(prefix="overrule-export-") as folder:
            path = Path(folder) / f"{student.name}.zip"
            student.write_zip(path)
            return path.read_bytes()

    st.download_button(
        f"Download the {what} ({numbers.size(size)})",
        data=written,
        file_name=f"{student.name}.zip",
        mime="application/zip",
        on_click="ignore",
        icon=":material/download:",
        key=f"download-run-{run.id}",
        help="One zip file with the weights as safetensors, their configuration, overrule.json (prompt, "
        "policy, thresholds) and README.md, the model card.",
    )


def model_card(run: Run) -> None:
    """The model card, folded: its markdown as it is written, read when the fold is opened."""
    fold = st.expander("Model card", icon=":material/id_card:", key=f"card-{run.id}", on_change="rerun")
    if not fold.open:
        return
    student = _student(run)
    if student is None:
        fold.caption(f"What run {run.number} learned is no longer in its folder.")
    else:
        fold.code(student.card, language=None, wrap_lines=True, height=420)


def record(run: Run) -> None:
    """How it was made, folded: time by phase, memory, machine, rows, versions and hashes."""
    result = run.result or {}
    with st.expander("Record: times, memory, machine, versions, hashes", icon=":material/history:"):
        text.show(figures.pairs(_recorded(result)))


def _student(run: Run) -> Student | None:
    """What the run left; None where somebody removed it."""
    try:
        with get_database().read() as found:
            return Student(found, run)
    except OverruleError:
        return None


def _recorded(result: Mapping[str, Any]) -> Iterator[tuple[str, Markup]]:
    timings = [
        f"{numbers.duration(spent)} {phase}"
        for phase, spent in result.get("timings", {}).items()
        if spent >= _SHORTEST
    ]
    if timings:
        resumed = (result.get("training") or {}).get("resumed_from") is not None
        yield "Time since it was resumed" if resumed else "Time", Markup.escape(", ".join(timings))
    peak = [
        f"{numbers.size(peak * MEGABYTE)} {_PEAKS[of]}"
        for of, peak in result.get("peak_memory_mb", {}).items()
        if of in _PEAKS
    ]
    if peak:
        yield "Peak memory", Markup.escape(", ".join(peak))
    hardware = result.get("hardware", {})
    if hardware:
        yield "Machine", _lines(_machine(hardware))
    for name, of in _ROWS.items():
        rows = result.get("rows", {}).get(name)
        if rows:
            yield of, _lines(_of_rows(rows))
    versions = result.get("versions", {})
    if versions:
        yield "Versions", text.literal(", ".join(f"{name} {number}" for name, number in versions.items()))
    hashes = list(_hashes(result.get("hashes", {})))
    if hashes:
        yield "sha256", _LINES.join(_HASH.format(name, value, value[:_SHORT]) for name, value in hashes)


def _machine(hardware: Mapping[str, Any]) -> Iterator[str]:
    if hardware.get("gpu"):
        memory = numbers.size(hardware.get("gpu_memory_mb", 0) * MEGABYTE)
        yield f"{hardware['gpu']}, {memory}, CUDA {hardware.get('cuda')}"
    cores = numbers.things(int(hardware.get("cores") or 0), "core")
    memory = numbers.size(hardware.get("memory_mb", 0) * MEGABYTE)
    yield f"{hardware.get('processor') or 'processor'}, {cores}, {memory}"
    if hardware.get("weights"):
        yield f"base model in {_WEIGHTS.get(hardware['weights'], hardware['weights'])}"


def _of_rows(rows: Mapping[str, Any]) -> Iterator[str]:
    used, learned = rows.get("used"), rows.get("learned_tokens")
    yield f"{numbers.count(used)} used, {numbers.count(learned)} learned tokens"
    left_out = int(rows.get("refused_count") or 0)
    if left_out:
        why = dict.fromkeys(refused.get("reason", "") for refused in rows.get("refused", []))
        yield f"{left_out:,} left out: {'; '.join(list(why)[:3])}"


def _hashes(hashes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    named = {of: hashes.get(name) for name, of in _HASHES.items()}
    named |= {of: hashes.get("data", {}).get(name) for name, of in _FILES.items()}
    yield from ((of, str(value)) for of, value in named.items() if value)


def _lines(lines: Iterator[str]) -> Markup:
    return _LINES.join(text.literal(line) for line in lines)
