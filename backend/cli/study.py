"""The paper's study from the command line: a grid of fine-tunes, and a report of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from sqlalchemy.orm import Session

from backend.cli import app
from backend.cli.follow import carry_out
from backend.cli.output import JsonOption, ProjectOption, changes_of, messages, out, print_json
from backend.cli.study_plan import Plan
from backend.curation.variation import Variation
from backend.db.engine import Database, get_database
from backend.db.models.curation import Handling
from backend.db.models.evaluation import SetOrigin
from backend.db.models.jobs import JobState
from backend.errors import InvalidInputError, OverruleError
from backend.evaluation.service import EvaluationService
from backend.jobs.service import JobService
from backend.projects.service import ProjectService
from backend.runs.choices import configure, preset_name
from backend.settings import Settings, get_settings
from backend.study.findings import findings
from backend.study.grid import Cell, Grid, Matching
from backend.study.report import tidy, write
from backend.study.scored import Reader, Results
from backend.study.service import Learned, Study, StudyService
from backend.text import things
from training.job import PRESETS
from training.prompt import Answers

_ANSWERS: tuple[Answers, ...] = get_args(Answers)
_REPORT = Path("study")


@app.command()
def study(
    project: ProjectOption = None,
    handlings: Annotated[
        str, typer.Option(help=f"Of {', '.join(each.value for each in Handling)}; with commas.")
    ] = "keep,drop,review",
    answers: Annotated[str, typer.Option(help=f"Of {', '.join(_ANSWERS)}; with commas.")] = "direct,both",
    seeds: Annotated[int, typer.Option(min=1, help="Students of each setting.")] = 3,
    sizes: Annotated[str, typer.Option(help="Training rows for a learning curve: 250,1000.")] = "",
    matching: Annotated[
        Matching, typer.Option(help="All rows of each handling, as many in all handlings, or both.")
    ] = Matching.BOTH,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Also train students that never see this category.")
    ] = None,
    simulate_recheck: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Without a second answer: this share of wrong answers is put right by people's, at random.",
        ),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option(help="An evaluation set beside the test split; all without it.")
    ] = None,
    label_only: Annotated[
        bool,
        typer.Option(
            "--label-only",
            help="Do not also ask students taught both forms with a reason first; that is slow.",
        ),
    ] = False,
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "quick",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change one setting of the preset: epochs=3.")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="A folder, a hub id, or default.")] = None,
    report: Annotated[Path, typer.Option("--out", help="The folder of the report.")] = _REPORT,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the students and what they would take.")
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Train nothing: report on the students there are.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train a grid of students, evaluate them all, and report what follows.

    Each student is an ordinary run. What is trained already is not trained again: after Ctrl-C, or
    with more seeds, the same command does what is missing.

    Example: overrule study --handlings keep,drop,review --answers direct,both --sizes 250,1000

    Example: overrule study --leave-out threat --dry-run
    """
    settings, database = get_settings(), get_database()
    grid = Grid(
        [_one_of(Handling, each) for each in _listed(handlings)],
        [_answers(each) for each in _listed(answers)],
        seeds,
        [_number(each) for each in _listed(sizes)],
        matching,
        tuple(leave_out or ()),
        simulate_recheck,
    )
    config = configure(preset, changes_of(change or []))
    with database.read() as session:
        about = _study(session, settings, project, sets, base_model)
    wanted = Study(**about, config=config, preset=preset_name(preset, config), label_only=label_only)
    if dry_run:
        plan = Plan(database, settings, wanted, grid)
        cells, notes = _versions(plan.build, grid)
        plan.say(cells, notes, json=json)
        return

    def build(cell: Cell, available: int | None) -> Learned:
        # Each in a transaction of its own, so that nobody waits long.
        with database.write() as session:
            return StudyService(session, settings).build(wanted, cell, available)

    cells, notes = _versions(build, grid)
    failed = [] if report_only else _train(database, settings, wanted, cells)
    with database.read() as session:
        results = Reader(session, settings, wanted).read(cells, notes)
    _report(results, grid, wanted, report, as_json=json)
    if failed:
        raise OverruleError(
            f"{things(len(failed), 'job')} failed: {', '.join(str(job) for job in failed)}.",
            "overrule jobs log NUMBER says why; the same command tries them again.",
        )


def _study(
    session: Session, settings: Settings, project: str | None, sets: list[str] | None, base_model: str | None
) -> dict[str, Any]:
    projects, evaluation = ProjectService(session), EvaluationService(session)
    project_id = (projects.get(project) if project else projects.only()).id
    if sets is None:
        chosen = [one for one in evaluation.sets(project_id) if one.origin is not SetOrigin.TEST_SPLIT]
    else:
        chosen = [evaluation.get_set(project_id, name) for name in sets]
    return {
        "project_id": project_id,
        "base_model": base_model,
        "set_ids": tuple(one.id for one in chosen),
        "person": settings.person,
    }


def _versions(
    build: Callable[[Cell, int | None], Learned], grid: Grid
) -> tuple[dict[Cell, Learned], list[str]]:
    """The dataset version of each cell, and what came out otherwise than was wished."""
    built: dict[tuple[Handling, Variation], Learned] = {}

    def once(cell: Cell, available: int | None = None) -> Learned:
        key = (cell.handling, cell.variation(available))
        if key not in built:
            built[key] = build(cell, available)
        return built[key]

    available = {cell: once(cell).rows for cell in grid.whole()}
    most = {(cell.handling, cell.seed): rows for cell, rows in available.items()}
    cells = {cell: once(cell, most[cell.handling, cell.seed]) for cell in grid.cells(available)}
    return cells, list(grid.notes(available))


def _train(database: Database, settings: Settings, wanted: Study, cells: Mapping[Cell, Learned]) -> list[int]:
    """Train and score what is missing; gives the jobs that failed."""
    with database.write() as session:
        StudyService(session, settings).freeze(wanted)
        together = JobService(session, settings).worker().alive
    # A worker may have several GPUs. Without one, what Ctrl-C breaks off must not wait for the next.
    # Handlings that give the very same rows share a student.
    apart = {(learned.hash, cell.answers, cell.seed): cell for cell, learned in cells.items()}
    turns = [list(apart.values())] if together else [[cell] for cell in apart.values()]
    failed: list[int] = []
    for turn in turns:
        for jobs_of in (_begin_training, _begin_scoring):
            # All of a turn are begun before the first is followed.
            jobs = [job for cell in turn for job in jobs_of(database, settings, wanted, cell, cells[cell])]
            failed += [job for job in dict.fromkeys(jobs) if not _carried_out(database, settings, job)]
    return failed


def _begin_training(
    database: Database, settings: Settings, wanted: Study, cell: Cell, learned: Learned
) -> Sequence[int]:
    with database.write() as session:
        jobs = StudyService(session, settings).begin(wanted, cell, learned)
    if jobs:
        messages.print(f"{cell.name}: job {jobs[0]}.", markup=False)
    return jobs


def _begin_scoring(
    database: Database, settings: Settings, wanted: Study, cell: Cell, learned: Learned
) -> Sequence[int]:
    with database.write() as session:
        service = StudyService(session, settings)
        trained = service.trained(wanted, cell, learned)
        return service.begin_scoring(wanted, trained.run) if trained is not None and trained.done else []


def _carried_out(database: Database, settings: Settings, job_id: int) -> bool:
    """See a job through; False where it failed by itself, for then the others can still be done.

    Raises:
        OverruleError: somebody stopped it, or it goes on without us.
    """
    try:
        carry_out(database, settings, job_id)
    except OverruleError as error:
        with database.read() as session:
            job = JobService(session, settings).get(job_id)
        if job.state not in (JobState.FAILED, JobState.INTERRUPTED):
            raise OverruleError(
                error.message, "The same command goes on; with --report-only it reports on what is there."
            ) from error
        messages.print(f"Job {job_id}: {error}", markup=False)
        return False
    return True


def _report(results: Results, grid: Grid, wanted: Study, folder: Path, *, as_json: bool) -> None:
    sections = findings(results)
    rows = tidy(results)
    write(folder, "What a student learns from", list(_about(grid, wanted)), sections, rows)
    if as_json:
        print_json(
            {
                "report": folder,
                "cells": len(results.cells),
                "missing": [cell.name for cell in results.missing],
                "sections": sections,
                "rows": rows.astype(object).where(rows.notna(), None).to_dict("records"),
            }
        )
        return
    for section in sections:
        for sentence in section.sentences:
            out.print(sentence, markup=False, highlight=False, soft_wrap=True)
    messages.print(f"The report: {folder / 'study.md'}, study.html and study.csv beside it.", markup=False)


def _about(grid: Grid, wanted: Study) -> Iterator[str]:
    names = ", ".join(each.value for each in grid.handlings)
    yield (
        f"Handlings {names}; answers {', '.join(grid.answers)}; {things(grid.seeds, 'seed')}; "
        f"settings {wanted.preset}."
    )
    if grid.repaired is not None:
        yield (
            f"Simulated: no teacher was asked again. Of its wrong answers {grid.repaired:.0%}, drawn at "
            "random, were given people's labels and reason, the others left wrong; handlings made so are "
            "marked, and left out where handlings that were really carried out are compared."
        )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _one_of(kind: type[Handling], name: str) -> Handling:
    try:
        return kind(name)
    except ValueError as error:
        known = ", ".join(each.value for each in kind)
        raise InvalidInputError(f"There is no handling {name!r}.", f"Choose of {known}.") from error


def _answers(name: str) -> Answers:
    for known in _ANSWERS:
        if name == known:
            return known
    raise InvalidInputError(f"There is no kind of answers {name!r}.", f"Choose of {', '.join(_ANSWERS)}.")


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInputError(f"{text!r} is no number of rows.", "Write --sizes 250,1000.") from error
