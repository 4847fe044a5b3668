"""Files to take away: written by the service when they are asked for; large ones by the worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from backend.curation.export import export_decisions, export_version
from backend.curation.views import Format
from backend.db.engine import get_database
from backend.db.models import DatasetVersion, Job
from backend.db.models.jobs import JobKind, JobState
from backend.jobs.payloads import ExportPayload
from backend.jobs.service import JobService
from ui.components import errors, jobs, session
from ui.components.live import UNDER_WAY, follow

AT_ONCE = 20_000
"""More rows than this are written by the worker, so that the page does not wait for them."""

_FORMATS: dict[Format, str] = {
    "jsonl": "JSONL: chats, one a line, for training elsewhere",
    "csv": "CSV: one row a post, for spreadsheets",
    "parquet": "Parquet: one row a post, for analysis",
}
_PLAIN: dict[Format, str] = {**_FORMATS, "jsonl": "JSONL: one post a line"}
_MIME = {"jsonl": "application/x-ndjson", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def version(chosen: DatasetVersion) -> None:
    """The button to export a dataset version."""
    version_id, number = chosen.id, chosen.number

    def write(format: Format, path: Path) -> None:
        with get_database().read() as found:
            export_version(found, version_id, format, path)

    _popover(
        "Export",
        _FORMATS,
        rows=sum(chosen.counts["rows"].values()),
        name=f"dataset-version-{number}",
        write=write,
        payload=lambda format: ExportPayload(version_id=version_id, format=format),
        title=f"Export dataset version {number}",
    )


def decisions(rows: int) -> None:
    """The button to export all decisions of the project.

    Args:
        rows: how many there are, at most.
    """
    project_id = session.project_id()

    def write(format: Format, path: Path) -> None:
        with get_database().read() as found:
            export_decisions(found, project_id, format, path)

    _popover(
        "Export decisions",
        _PLAIN,
        rows=rows,
        name="decisions",
        write=write,
        payload=lambda format: ExportPayload(format=format),
        title="Export decisions",
    )


def _popover(
    label: str,
    formats: dict[Format, str],
    *,
    rows: int,
    name: str,
    write: Callable[[Format, Path], None],
    payload: Callable[[Format], ExportPayload],
    title: str,
) -> None:
    with st.popover(label, icon=":material/download:", key=f"export-{name}"):
        format = st.radio("Format", list(formats), format_func=formats.__getitem__, key=f"format-{name}")
        file_name = f"{name}.{format}"
        if rows <= AT_ONCE:

            def written() -> bytes:
                with TemporaryDirectory() as folder:
                    path = Path(folder) / file_name
                    write(format, path)
                    return path.read_bytes()

            _download(written, file_name, format)
            return
        _large(title, file_name, format, payload(format))


def _download(data: Callable[[], bytes], file_name: str, format: Format) -> None:
    st.download_button(
        f"Download {file_name}",
        data=data,
        file_name=file_name,
        mime=_MIME[format],
        on_click="ignore",
        key=f"download-{file_name}",
        icon=":material/download:",
    )


def _large(title: str, file_name: str, format: Format, payload: ExportPayload) -> None:
    """A job that writes the file, and the file once it is there."""
    wanted = payload.model_dump(mode="json")
    with get_database().read() as found:
        made = JobService(found).list(session.project_id(), kind=JobKind.EXPORT, limit=20)
    newest = next((job for job in made if job.payload == wanted), None)
    under_way = newest is not None and newest.state in UNDER_WAY
    if newest is not None:
        _job(newest, file_name, format)
    st.button(
        "Write it anew" if newest else "Write the file",
        key=f"write-{file_name}",
        disabled=under_way,
        on_click=_start,
        args=(title, payload),
        help="It is long, so the worker writes it; it can be downloaded here when it is done.",
    )


def _job(job: Job, file_name: str, format: Format) -> None:
    def draw() -> bool:
        now = jobs.standing(job.id)
        jobs.draw(now)
        return now.under_way

    follow(draw, under_way=job.state in UNDER_WAY)
    path = Path(str((job.result or {}).get("file", "")))
    if job.state is JobState.SUCCEEDED and path.is_file():
        _download(path.read_bytes, file_name, format)


def _start(title: str, payload: ExportPayload) -> None:
    with errors.kept(), get_database().write() as found:
        JobService(found).create(
            session.project_id(), JobKind.EXPORT, title=title, payload=payload, person=session.person()
        )
