"""Asking a teacher from the command line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from backend.cli import app
from backend.cli.output import JsonOption, ProjectOption, print_json, progress_bar
from backend.db.engine import Database, get_database
from backend.projects.service import ProjectService
from backend.settings import Settings, get_settings
from backend.teacher.results import TeacherOverrides, TeachPayload, TeachPlan, TeachResult
from backend.teacher.service import TeacherService

_SETTINGS = "Without it the setting counts."


@app.command()
def teach(
    project: ProjectOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask about at most so many posts.")] = None,
    recheck: Annotated[
        bool, typer.Option(help="Ask once more where an answer differs from what people decided.")
    ] = True,
    ask_invalid: Annotated[
        bool, typer.Option("--ask-invalid", help="Ask again where an answer could not be read.")
    ] = False,
    url: Annotated[str | None, typer.Option(help=f"Any OpenAI-compatible address. {_SETTINGS}")] = None,
    model: Annotated[str | None, typer.Option(help=f"The model's name there. {_SETTINGS}")] = None,
    key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the key for this address.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=256, help=f"Requests under way at once. {_SETTINGS}")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help=f"Seconds to wait for one answer. {_SETTINGS}")
    ] = None,
    answer_tokens: Annotated[
        int | None, typer.Option(min=16, help=f"Most tokens of one answer. {_SETTINGS}")
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Make a job for the worker and come back at once.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be asked and what it costs.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Ask the teacher about every post that has no answer yet.

    Each answer is kept as it comes. Ctrl-C stops; the same command goes on where it stopped.

    Example: overrule teach --limit 50 --url http://127.0.0.1:8000/v1 --model ./my-model
    """
    overrides = TeacherOverrides(
        url=url,
        model=model,
        key_env=key_env,
        concurrency=concurrency,
        timeout=timeout,
        answer_tokens=answer_tokens,
    )
    payload = TeachPayload(recheck=recheck, limit=limit, ask_invalid=ask_invalid, overrides=overrides)
    settings, database = get_settings(), get_database()
    with database.read() as session:
        projects = ProjectService(session)
        project_id = (projects.get(project) if project else projects.only()).id
        plan = TeacherService(session, settings).plan(project_id, payload)
    if dry_run:
        _show_plan(plan, as_json=json)
    elif not plan.wanted and not (payload.recheck and plan.to_recheck):
        _show_nothing(as_json=json)
    elif background:
        _start(database, settings, project_id, payload, as_json=json)
    else:
        if not json:
            _say(_plan_line(plan))
        _teach(database, settings, project_id, payload, as_json=json)


def _start(
    database: Database, settings: Settings, project_id: int, payload: TeachPayload, *, as_json: bool
) -> None:
    with database.write() as session:
        job = TeacherService(session, settings).start(
            project_id,
            recheck=payload.recheck,
            limit=payload.limit,
            ask_invalid=payload.ask_invalid,
            overrides=payload.overrides,
            person=settings.person,
        )
    if as_json:
        print_json({"job_id": job.id, "title": job.title, "state": job.state})
    else:
        _say(f"Job {job.id} waits for the worker: {job.title}. See it with: overrule jobs show {job.id}")


def _teach(
    database: Database, settings: Settings, project_id: int, payload: TeachPayload, *, as_json: bool
) -> None:
    # openai takes a second to import, which no other command should wait for.
    from backend.teacher.client import TeacherStoppedError
    from backend.teacher.foreground import teach_here

    with database.write() as session:
        job = TeacherService(session, settings).start_here(project_id, payload, person=settings.person)
    try:
        with _stopped_by_interrupt() as should_stop, progress_bar("Asking the teacher") as bar:
            result = teach_here(database, job.id, settings, should_stop=should_stop, on_progress=bar)
    except TeacherStoppedError as error:
        if error.result is not None:
            _show_result(error.result)
        raise
    if as_json:
        print_json(result)
    else:
        _show_result(result)
    got_nothing = result.wanted > 0 and not result.answered and not result.invalid
    if result.stopped or got_nothing:
        raise typer.Exit(1)


@contextmanager
def _stopped_by_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for a stop; pressed once more it ends the program as ever."""
    wanted = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def stop(_number: int, _frame: FrameType | None) -> None:
        wanted.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield wanted.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _show_plan(plan: TeachPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    _say(_plan_line(plan))
    if plan.invalid:
        _say(f"{plan.invalid:,} answers could not be read; --ask-invalid asks for them again.")


def _show_nothing(*, as_json: bool) -> None:
    """Nothing to do is done: a script that asks again after each import must not fail."""
    if as_json:
        print_json(TeachResult())
    else:
        _say("Every post has an answer: there is nothing to ask.")


def _plan_line(plan: TeachPlan) -> str:
    rechecks = f" and {plan.to_recheck:,} rechecks" if plan.to_recheck else ""
    return (
        f"{plan.wanted:,} posts{rechecks} for {plan.model} at {plan.endpoint}: about "
        f"{plan.prompt_tokens:,} tokens to send and {plan.answer_tokens:,} to receive."
    )


def _show_result(result: TeachResult) -> None:
    _say(f"Posts: {result.wanted:,}")
    _say(f"  answered          {result.answered:,}")
    _say(f"  cannot be read    {result.invalid:,}")
    _say(f"  without an answer {sum(result.failed.values()):,}{_kinds(result.failed)}")
    _say(f"  not asked         {result.left:,}")
    if result.rechecked or result.recheck_failed:
        lost = sum(result.recheck_failed.values())
        more = f", {lost:,} without an answer{_kinds(result.recheck_failed)}" if lost else ""
        _say(f"Rechecks: {result.rechecked:,}, {result.mended:,} of them mended{more}")
    _say(f"Tokens: {result.prompt_tokens:,} sent, {result.answer_tokens:,} received")
    for kind, message in result.said.items():
        _say(f"Last {kind}: {message}")
    if result.stopped:
        _say("Stopped. The same command goes on with the rest.")
    elif result.failed or result.recheck_failed:
        _say("The same command asks again about the posts without an answer.")


def _kinds(failed: Mapping[str, int]) -> str:
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(failed.items()))
    return f" ({kinds})" if kinds else ""


def _say(text: str) -> None:
    typer.echo(text, err=True)
