"""Starting, migrating, looking at how things stand."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from backend.base_models import display_name
from backend.cli import app
from backend.cli.output import JsonOption, messages, out, print_json
from backend.db.engine import Database, get_database
from backend.db.migrate import current_revision, migrate
from backend.db.models.jobs import JobState
from backend.errors import OverruleError
from backend.jobs.service import JobService
from backend.jobs.states import ACTIVE, Lane
from backend.projects.service import ProjectService
from backend.settings import Settings, get_settings
from backend.supervisor import HOST, Supervisor, only_start, pull_base_model, require_free

models = typer.Typer(help="Base models.", no_args_is_help=True)
app.add_typer(models, name="models")


@app.command()
def run(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = None,
    sample: Annotated[bool, typer.Option(help="Load the sample project the first time.")] = True,
    json: JsonOption = False,
) -> None:
    """Start app and worker, and print the address.

    Ctrl-C stops both. A fine-tune that is at work goes on; the next start takes it up again.

    Example: overrule run --port 8600
    """
    settings = get_settings()
    port = port or settings.port
    address = f"http://{HOST}:{port}"
    with only_start(settings, address):
        require_free(port)
        database = get_database()
        _get_ready(database, settings, sample=sample)

        def on_ready() -> None:
            if json:
                print_json({"address": address, "pid": os.getpid(), "home": settings.home})
            else:
                out.print(f"Overrule is at {address}  (Ctrl-C stops it)")

        Supervisor(settings, port).run(
            on_ready, lambda: messages.print("The worker has ended and is started again.")
        )
        messages.print(_what_goes_on(database))


def _get_ready(database: Database, settings: Settings, *, sample: bool) -> None:
    before, after = migrate(database)
    if before != after:
        messages.print(f"The database is at {after} now.")
    try:
        pull_base_model(settings.base_model, settings)
        messages.print(f"The base model {display_name(settings.base_model)} is here.")
    except OverruleError as error:
        # Everything but training and scoring works without it.
        messages.print(f"[yellow]There is no base model yet:[/] {error}", soft_wrap=True)
    if sample:
        _load_sample(database, settings, fresh=before is None)


def _load_sample(database: Database, settings: Settings, *, fresh: bool) -> None:
    """Load the sample into an empty database, once: a person who removed it does not get it back."""
    loaded = settings.home / "sample-loaded"
    with database.read() as session:
        empty = not ProjectService(session).list()
    if not empty or (loaded.exists() and not fresh):
        return
    from backend.intake.sample import load_sample

    with database.write() as session:
        load_sample(session, person=settings.person)
    loaded.touch()
    messages.print("The sample project is loaded.")


def _what_goes_on(database: Database) -> str:
    with database.read() as session:
        jobs = JobService(session).list(states=ACTIVE)
    titles = [job.title for job in jobs if Lane.of(job.kind) is Lane.TRAINER]
    if not titles:
        return "Overrule has stopped."
    return f"Overrule has stopped. {titles[0]} goes on; the next start takes it up again."


@app.command()
def worker(
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait while another worker is at work, instead of failing.")
    ] = False,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Carry out jobs: fine-tunes, scoring, teaching, exports. `overrule run` starts one by itself.

    Example: overrule worker
    """
    from backend.jobs.worker import Worker, worker_lock

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Huey tells of each look at its queue.
    logging.getLogger("huey").setLevel(logging.WARNING)
    settings, database = get_settings(), get_database()
    orphaned = threading.Event()

    def goes_on() -> bool:
        return wait and not orphaned.is_set()

    if parent is not None:
        threading.Thread(target=_watch_parent, args=(parent, orphaned.set), daemon=True).start()
    with worker_lock(database, settings, wait=goes_on):
        found = Worker(database, settings)
        if parent is not None:
            threading.Thread(target=_watch_parent, args=(parent, found.stop), daemon=True).start()
        found.work()


def _watch_parent(parent: int, gone: Callable[[], None]) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    gone()


@app.command(name="migrate")
def migrate_command(json: JsonOption = False) -> None:
    """Bring the database to the newest migration.

    Example: overrule migrate
    """
    before, after = migrate(get_database())
    if json:
        print_json({"before": before, "after": after})
    elif before == after:
        messages.print(f"The database is at {after}; there is nothing to do.")
    else:
        messages.print(f"The database went from {before or 'nothing'} to {after}.")


@app.command()
def status(json: JsonOption = False) -> None:
    """Say where database, worker, projects and jobs stand.

    Example: overrule status --json
    """
    settings, database = get_settings(), get_database()
    revision = current_revision(database)
    document: dict[str, Any] = {"home": settings.home, "database": _shown_url(database), "revision": revision}
    if revision is not None:
        document |= _standing(database)
    if json:
        print_json(document)
        return
    out.print(
        f"home       {settings.home}\ndatabase   {document['database']}, at {revision or 'nothing yet'}"
    )
    if revision is None:
        messages.print("The database is empty: overrule run makes it ready.")
        return
    found = document["worker"]
    out.print(f"worker     {'alive, process ' + str(found.pid) if found.alive else 'none: jobs wait'}")
    for project in document["projects"]:
        out.print(f"project    {project['id']}  {project['name']}", markup=False)
    for job in document["jobs"]:
        out.print(f"job        {job['id']}  {job['state'].value}  {job['title']}", markup=False)


def _standing(database: Database) -> dict[str, Any]:
    with database.read() as session:
        jobs = JobService(session)
        return {
            "worker": jobs.worker(),
            "projects": [{"id": each.id, "name": each.name} for each in ProjectService(session).list()],
            "jobs": [
                {"id": job.id, "state": job.state, "title": job.title, "progress": job.progress}
                for job in jobs.list(states=ACTIVE | {JobState.QUEUED})
            ],
        }


def _shown_url(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=True)


@models.command()
def pull(
    name: Annotated[str | None, typer.Argument(help="A hub id, a folder, or default.")] = None,
    json: JsonOption = False,
) -> None:
    """Fetch a base model, where it is not here yet.

    Example: overrule models pull HuggingFaceTB/SmolLM2-135M-Instruct
    """
    settings = get_settings()
    name = name or settings.base_model
    with messages.status(f"Fetching {name}"):
        folder = pull_base_model(name, settings)
    if json:
        print_json({"name": name, "folder": folder})
    else:
        messages.print(f"{name} is in {folder}.", soft_wrap=True)
