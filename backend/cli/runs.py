"""Fine-tunes from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import app, dry
from backend.cli.follow import carry_out
from backend.cli.output import (
    JsonOption,
    ProjectOption,
    changes_of,
    messages,
    out,
    print_facts,
    print_json,
    print_table,
)
from backend.curation.service import CurationService
from backend.db.engine import get_database
from backend.db.models import Run
from backend.errors import InvalidInputError
from backend.evaluation.comparison import with_interval
from backend.evaluation.results import ModelRow
from backend.evaluation.service import EvaluationService
from backend.projects.service import ProjectService
from backend.runs.choices import configure
from backend.runs.service import RunService
from backend.runs.student import Student
from backend.runs.views import RunSummary
from backend.settings import get_settings
from training.job import PRESET_NEEDS, PRESETS

runs = typer.Typer(help="Fine-tunes: list, show, promote, export.", no_args_is_help=True)
app.add_typer(runs, name="runs")

WaitOption = Annotated[
    bool, typer.Option("--wait/--detach", help="See it through, or leave it to the worker at once.")
]


def _preset_help(name: str) -> str:
    needs = PRESET_NEEDS.get(name)
    return f"{name} ({needs.rstrip('.')})" if needs else name


@app.command()
def train(
    project: ProjectOption = None,
    dataset: Annotated[str, typer.Option(help="A dataset version's number, or newest.")] = "newest",
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(map(_preset_help, PRESETS))}.")] = "quick",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change one setting of the preset: epochs=3.")
    ] = None,
    preference: Annotated[
        bool,
        typer.Option(
            "--preference", help="Then learn people's corrections over the teacher's wrong answers (DPO)."
        ),
    ] = False,
    base_model: Annotated[str | None, typer.Option(help="A folder, a hub id, or default.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of LoRA weights and data order.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option(help="An evaluation set to score beside the test split.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take, and what speaks against it.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="With --dry-run: train a few steps first to see how fast it is.")
    ] = False,
    wait: WaitOption = True,
    json: JsonOption = False,
) -> None:
    """Fine-tune the base model on a dataset version, and evaluate it.

    A worker does it where one is alive; else it is done here, by the same code.

    Example: overrule train --dataset 3 --preset quick --set epochs=3 --sets hatecheck

    Example: overrule train --preference --set preference.beta=0.2
    """
    settings, database = get_settings(), get_database()
    config = configure(preset, changes_of(change or []) | ({"preference": "on"} if preference else {}), seed)
    with database.write() as session:
        project_id = _project(ProjectService(session), project)
        evaluation = EvaluationService(session)
        version_id = _version(CurationService(session), project_id, dataset)
        set_ids = [evaluation.get_set(project_id, name).id for name in sets or []]
        if not dry_run:
            run = RunService(session, settings).start(
                project_id,
                version_id=version_id,
                preset=preset,
                config=config,
                base_model=base_model,
                set_ids=set_ids,
                person=settings.person,
            )
    if dry_run:
        dry.say(version_id, config, base_model, set_ids, measured=measure, json=json)
        return
    _see(run, wait=wait, json=json)


@app.command()
def retrain(project: ProjectOption = None, wait: WaitOption = True, json: JsonOption = False) -> None:
    """Learn people's newest decisions with the champion's settings.

    Builds a dataset version with the handling review, trains, and evaluates on the champion's sets.

    Example: overrule retrain --detach
    """
    settings, database = get_settings(), get_database()
    with database.read() as session:
        project_id = _project(ProjectService(session), project)
        # As before a version is built: nobody else can write while one is.
        CurationService(session).look_for_leaks(project_id)
    with database.write() as session:
        run = RunService(session, settings).retrain(project_id, person=settings.person)
    _see(run, wait=wait, json=json)


@runs.command(name="list")
def list_runs(project: ProjectOption = None, json: JsonOption = False) -> None:
    """List a project's runs with their figures on the newest test split.

    Example: overrule runs list --json
    """
    with get_database().read() as session:
        project_id = _project(ProjectService(session), project)
        service = RunService(session)
        found, new = service.list(project_id), service.new_decisions(project_id)
    if json:
        print_json([_summary(summary) for summary in found])
        return
    rows = (
        (
            str(each.run.number) + (" champion" if each.champion else ""),
            each.job.state.value,
            f"version {each.version_number}",
            each.handling.value,
            each.run.preset,
            each.run.base_model,
            _figure(each.headline.macro_f1 if each.headline else None),
            _figure(each.headline.macro_auprc if each.headline else None),
        )
        for each in found
    )
    print_table(("run", "state", "dataset", "handling", "preset", "base model", "macro F1", "AUPRC"), rows)
    since = "" if new.since is None else f" since run {new.since}"
    messages.print(f"New decisions{since}: {new.count:,}")


@runs.command()
def show(
    run: Annotated[str, typer.Argument(help='Its number, or "run 2".')],
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Say everything about one run.

    Example: overrule runs show 2 --json
    """
    with get_database().read() as session:
        project_id = _project(ProjectService(session), project)
        service = RunService(session)
        wanted = service.get(project_id, run)
        summary = next(each for each in service.list(project_id) if each.run.id == wanted.id)
        gains = service.preference_gains(wanted.id)
        document = _summary(summary) | {"adapter": service.adapter(wanted), "result": wanted.result}
    if json:
        print_json(document)
        return
    # The result repeats all of it; what people look for in it are the figures.
    print_facts(document | {"headline": _figures(summary.headline), "result": None})
    for gain in gains:
        out.print(f"{gain.set_name}: {gain.sentence}", markup=False, highlight=False, soft_wrap=True)


@runs.command()
def promote(
    run: Annotated[str, typer.Argument(help='Its number, or "base" for the base model.')],
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Make a finished run, or the base model, the champion.

    Example: overrule runs promote 2
    """
    settings = get_settings()
    with get_database().write() as session:
        project_id = _project(ProjectService(session), project)
        service = RunService(session, settings)
        chosen = None if run.strip().lower() == "base" else service.get(project_id, run)
        service.promote(project_id, chosen.id if chosen else None, person=settings.person)
    if json:
        print_json({"project_id": project_id, "champion": chosen.number if chosen else None})
    else:
        messages.print(f"{f'Run {chosen.number}' if chosen else 'The base model'} is champion now.")


@runs.command()
def export(
    run: Annotated[str, typer.Argument(help='Its number, or "run 2".')],
    file: Annotated[
        Path, typer.Option("--out", "-o", help="The zip file to write; it is replaced if it exists.")
    ],
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Write a finished run's adapter to one zip file: weights, configuration, overrule.json, model card.

    Example: overrule runs export 2 --out run-2.zip
    """
    student = _student(run, project)
    size = student.write_zip(file)
    if json:
        print_json({"file": file, "bytes": size, "files": [path.name for path in student.files]})
    else:
        messages.print(f"Wrote {len(student.files)} files, {size / 1e6:,.0f} MB, to {file}.", soft_wrap=True)


@runs.command()
def card(
    run: Annotated[str, typer.Argument(help='Its number, or "run 2".')],
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Print a finished run's model card, as markdown.

    Example: overrule runs card 2
    """
    text = _student(run, project).card
    if json:
        print_json({"card": text})
    else:
        out.print(text, markup=False, highlight=False, soft_wrap=True)


def _student(run: str, project: str | None) -> Student:
    with get_database().read() as session:
        project_id = _project(ProjectService(session), project)
        return Student(session, RunService(session).get(project_id, run))


def _see(run: Run, *, wait: bool, json: bool) -> None:
    settings, database = get_settings(), get_database()
    messages.print(f"Run {run.number} is job {run.job_id}.")
    if wait:
        with database.read() as session:
            jobs = RunService(session, settings).jobs_of(run)
        for job in jobs:
            carry_out(database, settings, job)
    with database.read() as session:
        found = RunService(session, settings).list(run.project_id)
    summary = next(each for each in found if each.run.id == run.id)
    if json:
        print_json(_summary(summary))
    elif summary.headline is not None:
        line = summary.headline
        out.print(f"run {run.number}: macro F1 {_figure(line.macro_f1)}, AUPRC {_figure(line.macro_auprc)}")
    elif not wait:
        messages.print(f"See it with: overrule jobs show {run.job_id}")


def _summary(summary: RunSummary) -> dict[str, Any]:
    run, job = summary.run, summary.job
    return {
        "run": run.number,
        "id": run.id,
        "job_id": job.id,
        "state": job.state.value,
        "phase": job.phase,
        "progress": job.progress,
        "error": job.error,
        "dataset": summary.version_number,
        "handling": summary.handling.value,
        "preset": run.preset,
        "base_model": run.base_model,
        "seed": run.seed,
        "config": run.config,
        "champion": summary.champion,
        "headline": summary.headline,
        "created_by": run.created_by,
        "created_at": run.created_at,
        "finished_at": job.finished_at,
    }


def _project(projects: ProjectService, name: str | None) -> int:
    return (projects.get(name) if name else projects.only()).id


def _version(curation: CurationService, project_id: int, wanted: str) -> int:
    if wanted.strip().lower() != "newest":
        return curation.version(project_id, wanted).id
    versions = curation.versions(project_id)
    if not versions:
        raise InvalidInputError("There is no dataset version yet.", "Build one: overrule dataset build.")
    return versions[0].id


def _figures(line: ModelRow | None) -> dict[str, str] | None:
    if line is None:
        return None
    return {
        "posts": f"{line.posts:,} of {line.of:,}",
        "macro F1": with_interval(line.macro_f1, line.macro_f1_interval),
        "macro AUPRC": with_interval(line.macro_auprc, line.macro_auprc_interval),
        "any violation": with_interval(line.any_f1, line.any_f1_interval),
    }


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")
