"""Jobs from the command line."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from backend.cli import app
from backend.cli.output import JsonOption, ProjectOption, messages, print_facts, print_json, print_table
from backend.db.engine import get_database
from backend.db.models import Job
from backend.db.models.jobs import JobKind
from backend.jobs.service import JobService, WorkerState
from backend.jobs.states import ENDED
from backend.projects.service import ProjectService
from backend.settings import get_settings

jobs = typer.Typer(
    help="Fine-tunes, scoring, teaching and exports under way and ended.", no_args_is_help=True
)
app.add_typer(jobs, name="jobs")

JobArgument = Annotated[int, typer.Argument(help="The job's id.")]


@jobs.command(name="list")
def list_jobs(
    project: ProjectOption = None,
    kind: Annotated[JobKind | None, typer.Option(help="Only this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    json: JsonOption = False,
) -> None:
    """List jobs, the newest first; of all projects where none is named.

    Example: overrule jobs list --kind train
    """
    with get_database().read() as session:
        project_id = ProjectService(session).get(project).id if project else None
        service = JobService(session)
        found = [(job, service.queue_place(job)) for job in service.list(project_id, kind=kind, limit=limit)]
        state = service.worker()
    if json:
        print_json([_document(job, place) for job, place in found])
        return
    rows = (
        (
            str(job.id),
            job.state.value + (f", place {place}" if place else ""),
            job.kind.value,
            job.title,
            job.created_by,
            f"{job.created_at.astimezone():%d %b %H:%M}",
        )
        for job, place in found
    )
    print_table(("id", "state", "kind", "job", "by", "made"), rows)
    _warn(state, waiting=any(place for _, place in found))


@jobs.command()
def show(job_id: JobArgument, json: JsonOption = False) -> None:
    """Say everything about one job.

    Example: overrule jobs show 3 --json
    """
    with get_database().read() as session:
        service = JobService(session)
        job = service.get(job_id)
        document = _document(job, service.queue_place(job))
        state = service.worker()
    if json:
        print_json(document)
        return
    print_facts(document)
    _warn(state, waiting=job.state not in ENDED)


@jobs.command()
def log(
    job_id: JobArgument,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="So many from the end.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print the end of a job's log.

    Example: overrule jobs log 3 --follow
    """
    shown: list[str] = []
    while True:
        with get_database().read() as session:
            service = JobService(session)
            job = service.get(job_id)
            found = service.log_tail(job, lines).splitlines()
        for line in _new(shown, found):
            typer.echo(line)
        shown = found
        if not follow or job.state in ENDED:
            return
        time.sleep(1)


@jobs.command()
def stop(job_id: JobArgument, json: JsonOption = False) -> None:
    """Ask a job to save what it has and stop.

    Example: overrule jobs stop 3
    """
    with get_database().write() as session:
        service = JobService(session)
        job, state = service.request_stop(job_id), service.worker()
    _changed(job, state, json=json)


@jobs.command()
def resume(job_id: JobArgument, json: JsonOption = False) -> None:
    """Queue a job again that stopped, failed or was cut off; it goes on from what it has.

    Example: overrule jobs resume 3
    """
    with get_database().write() as session:
        service = JobService(session)
        job, state = service.resume(job_id, get_settings().person), service.worker()
    _changed(job, state, json=json)


def _changed(job: Job, state: WorkerState, *, json: bool) -> None:
    if json:
        print_json(_document(job, None))
    else:
        messages.print(f"Job {job.id} is {job.state.value}.")
    _warn(state, waiting=job.state not in ENDED)


def _warn(state: WorkerState, *, waiting: bool) -> None:
    if waiting and not state.alive:
        messages.print("No worker is alive: overrule run or overrule worker starts one.")


def _new(before: list[str], now: list[str]) -> list[str]:
    """The lines that came since, where both are ends of one growing text."""
    for overlap in range(min(len(before), len(now)), 0, -1):
        if before[-overlap:] == now[:overlap]:
            return now[overlap:]
    return now


def _document(job: Job, place: int | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "project_id": job.project_id,
        "kind": job.kind.value,
        "state": job.state.value,
        "queue_place": place,
        "title": job.title,
        "phase": job.phase,
        "progress": job.progress,
        "seconds_left": job.seconds_left,
        "error": job.error,
        "hint": job.hint,
        "result": job.result,
        "folder": job.folder,
        "pid": job.pid,
        "heartbeat_at": job.heartbeat_at,
        "created_at": job.created_at,
        "created_by": job.created_by,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }
