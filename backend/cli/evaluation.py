"""Evaluating models and comparing them from the command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from backend.cli import app, breakdowns
from backend.cli.output import (
    JsonOption,
    ProjectOption,
    messages,
    out,
    print_json,
    print_table,
    progress_bar,
)
from backend.db.engine import Database, get_database
from backend.db.models import EvaluationSet, Job, Project
from backend.db.models.jobs import JobState
from backend.errors import InvalidInputError, OverruleError
from backend.evaluation.comparison import (
    invalid_sentence,
    p_text,
    percent_text,
    regression_sentence,
    share_text,
    span_text,
    with_interval,
    yardstick,
)
from backend.evaluation.few import few_posts
from backend.evaluation.naming import in_a_table, pick
from backend.evaluation.results import Comparison, Difference, Gain, ModelRow
from backend.evaluation.results_service import ResultsService
from backend.evaluation.scoring_service import ScoringService
from backend.evaluation.service import EvaluationService
from backend.evaluation.set_service import SetService
from backend.evaluation.sets import TEST_POSTS, TEST_SPLIT
from backend.jobs.payloads import Inference
from backend.jobs.service import JobService
from backend.jobs.states import ENDED
from backend.projects.service import ProjectService
from backend.runs.service import RunService
from backend.settings import Settings, get_settings
from backend.text import things

# Seconds between two looks at a job.
_LOOK = 0.3


@app.command()
def evaluate(
    project: ProjectOption = None,
    run: Annotated[list[str] | None, typer.Option(help="Score a run's student: its number or name.")] = None,
    base: Annotated[bool, typer.Option("--base", help="Score the base model.")] = False,
    teacher: Annotated[bool, typer.Option("--teacher", help="Judge the teacher's stored answers.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="An evaluation set, by name or id; the test split without it."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two models side by side: run 2, base, teacher or champion.", metavar="A B"),
    ] = None,
    by_group: Annotated[
        bool, typer.Option("--by-group", help="Show how often each model is right in each of a set's groups.")
    ] = False,
    inference: Annotated[
        Inference | None,
        typer.Option(
            help="How a student that knows both is asked: for the labels at once, or for a reason first."
        ),
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Make a job for the worker and come back at once.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Score the models again whose set has had other labels since."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Score models on evaluation sets, and show how all models stand on them.

    Without a model to score it only shows the table. Figures are between 0 and 1, in brackets
    their 95% interval; – stands where there is none.

    Example: overrule evaluate --run 2 --base --set test --set hatecheck

    Example: overrule evaluate --compare "run 2" base
    """
    settings, database = get_settings(), get_database()
    with database.write() as session:
        place = ProjectService(session).get(project) if project else ProjectService(session).only()
        anew = bool(run or base or teacher or again)
        sets = _sets(session, place, set_ or [TEST_SPLIT], settings.person, anew=anew)
        if teacher:
            _judge_teacher(session, sets, settings.person)
        jobs = [_start(session, settings, place, run or [], base, sets, inference)] if run or base else []
        if again:
            jobs += _start_again(session, sets, settings.person)
    if jobs and background:
        _say_started(jobs, as_json=json)
        return
    for job in jobs:
        _wait(database, settings, job.id)
    with database.read() as session:
        if compare:
            _show_comparisons(session, place, sets, compare, as_json=json)
        else:
            _show_tables(session, place, sets, by_group=by_group, as_json=json)


@app.command(epilog="Example: overrule robustness --set hatecheck")
def robustness(
    project: ProjectOption = None,
    set_: Annotated[
        str, typer.Option("--set", help="An evaluation set, by name or id; the test split without it.")
    ] = TEST_SPLIT,
    json: JsonOption = False,
) -> None:
    """Make a set of another's posts in disguise, which anyone can still read.

    A fifth of the posts each has letters swapped for look-alikes, spaces between letters,
    digits for letters, odd capitals, or emoji between words. Labels stay. A model that is
    evaluated on both sets shows what disguises cost it. From one version of a set there is
    one; from a newer version a newer one is made.
    """
    settings, database = get_settings(), get_database()
    with database.write() as session:
        place = ProjectService(session).get(project) if project else ProjectService(session).only()
        [plain] = _sets(session, place, [set_], settings.person, anew=False)
        made = SetService(session).robustness_set(plain.id, settings.person)
    if json:
        print_json({"set": made.name, "version": made.number, "posts": made.rows, "made_from": plain.number})
        return
    messages.print(f"{made.name}, version {made.number}: {things(made.rows, 'post')}.", markup=False)
    messages.print(f'Evaluate models on it: overrule evaluate --base --set "{made.name}"', markup=False)


def _sets(
    session: Session, project: Project, names: Sequence[str], person: str, *, anew: bool
) -> list[EvaluationSet]:
    """The sets by name or id; with `anew` as they stand now, else as they were last evaluated."""
    service = EvaluationService(session)
    names = [TEST_SPLIT if name == TEST_POSTS else name for name in names]
    frozen = any(one.name == TEST_SPLIT for one in service.sets(project.id))
    if TEST_SPLIT in names and (anew or not frozen):
        service.freeze_test_split(project.id, person)
    found = [service.get_set(project.id, name) for name in names]
    if not anew:
        shown = {one.name: one for one in service.shown_sets(project.id)}
        found = [shown[one.name] for one in found]
    return list({one.id: one for one in found}.values())


def _judge_teacher(session: Session, sets: Sequence[EvaluationSet], person: str) -> None:
    for one in sets:
        if EvaluationService(session).evaluate_teacher(one.id, person) is None:
            messages.print(f"The teacher has no readable answer to a post of {one.name}.", markup=False)


def _start(
    session: Session,
    settings: Settings,
    project: Project,
    runs: Sequence[str],
    base: bool,
    sets: Sequence[EvaluationSet],
    inference: Inference | None,
) -> Job:
    known = RunService(session, settings)
    return ScoringService(session).start(
        project.id,
        run_ids=list(dict.fromkeys(known.get(project.id, name).id for name in runs)),
        base=base,
        set_ids=[one.id for one in sets],
        inference=inference,
        person=settings.person,
    )


def _start_again(session: Session, sets: Sequence[EvaluationSet], person: str) -> list[Job]:
    """Jobs for the models that are behind on any of the sets."""
    scoring = ScoringService(session)
    behind = [one for one in sets if scoring.behind(one.id).models]
    if not behind:
        messages.print("All figures are of the labels that stand; no model is scored again.")
    return [job for one in behind for job in scoring.start_again(one.id, person)]


def _say_started(jobs: Sequence[Job], *, as_json: bool) -> None:
    if as_json:
        started = [{"job_id": job.id, "title": job.title, "state": job.state} for job in jobs]
        print_json(started if len(started) > 1 else started[0])
        return
    for job in jobs:
        messages.print(f"Job {job.id} waits for the worker: {job.title}.", markup=False)


def _wait(database: Database, settings: Settings, job_id: int) -> None:
    """Wait for the worker to carry a job out, or do it here where there is none.

    Raises:
        OverruleError: it did not succeed.
    """
    # The worker's code is not needed for showing a table.
    from backend.jobs.foreground import carried_out

    with carried_out(database, settings, job_id), progress_bar("Scoring") as bar:
        job = _ended(database, job_id, bar)
    if job.state is not JobState.SUCCEEDED:
        raise OverruleError(
            job.error or f"Job {job_id} was {job.state.value}.",
            job.hint or f"See what it logged: overrule jobs log {job_id}",
        )


def _ended(database: Database, job_id: int, bar: Callable[[int, int | None], None]) -> Job:
    while True:
        with database.read() as session:
            job = JobService(session).get(job_id)
        if job.state in ENDED:
            return job
        if job.progress is not None:
            bar(round(job.progress * 100), 100)
        time.sleep(_LOOK)


def _show_tables(
    session: Session, project: Project, sets: Sequence[EvaluationSet], *, by_group: bool, as_json: bool
) -> None:
    service, of_sets = ResultsService(session), SetService(session)
    tables = [(one, service.table(project.id, one.id)) for one in sets]
    if as_json:
        print_json([_document(session, one, rows) for one, rows in tables])
        return
    for one, rows in tables:
        _show_table(one, rows)
        if few := few_posts(one.rows):
            messages.print(few, markup=False)
        if said := yardstick(rows):
            messages.print(said, markup=False)
        if behind := len(ScoringService(session).behind(one.id).models):
            messages.print(
                f"{things(behind, 'model')} can be scored again, because the set's labels changed: "
                f'overrule evaluate --again --set "{one.name}"',
                markup=False,
            )
        if not rows:
            messages.print(
                f'Nothing is evaluated on it yet: overrule evaluate --base --set "{one.name}"', markup=False
            )
        for row in rows:
            metrics = service.metrics(row.evaluation_id)
            invalid = invalid_sentence(metrics)
            notes = (*metrics.notes, *([invalid] if invalid else []))
            gained = [gain.sentence for gain in _gains(session, row)]
            for note in (*notes, *gained, *_beside_regression(service, row)):
                messages.print(f"{row.name}: {note}", markup=False)
            found = of_sets.breakdown(row.evaluation_id)
            breakdowns.show(row.name, found, yes_no=one.positive_labels is not None, by_group=by_group)
            breakdowns.show_drop(row.name, of_sets.drop(row.evaluation_id))


def _gains(session: Session, row: ModelRow) -> list[Gain]:
    """What a run's preference step brought on the row's set; nothing where it had none."""
    # The gain is told of the student as it is asked by itself.
    if row.run_id is None or row.inference is not None:
        return []
    return [gain for gain in RunService(session).preference_gains(row.run_id) if gain.set_id == row.set_id]


def _beside_regression(service: ResultsService, row: ModelRow) -> list[str]:
    """Whether a student beats logistic regression taught the same posts, where that was judged."""
    regression = service.regression_beside(row.evaluation_id)
    if regression is None:
        return []
    return [regression_sentence("it", service.compare(row.evaluation_id, regression))]


def _document(session: Session, one: EvaluationSet, rows: Sequence[ModelRow]) -> dict[str, object]:
    return {
        "set": one.name,
        "version": one.number,
        "posts": one.rows,
        "language": one.language,
        "label_map": one.label_map,
        "behind": len(ScoringService(session).behind(one.id).models),
        "models": [_model(session, row) for row in rows],
    }


def _model(session: Session, row: ModelRow) -> dict[str, object]:
    service, of_sets = ResultsService(session), SetService(session)
    regression = service.regression_beside(row.evaluation_id)
    report = service.report(row.evaluation_id)
    return {
        "row": row,
        "metrics": report.metrics,
        "curves": report.curves,
        "reliability": report.reliability,
        "scaled_reliability": report.scaled_reliability,
        "beside_regression": None if regression is None else service.compare(row.evaluation_id, regression),
        "preference_gains": _gains(session, row),
        "breakdown": of_sets.breakdown(row.evaluation_id),
        "drop": of_sets.drop(row.evaluation_id),
    }


def _show_table(one: EvaluationSet, rows: Sequence[ModelRow]) -> None:
    language = f", {one.language}" if one.language else ""
    yes_no = one.positive_labels is not None
    heads = (
        ["F1 any", "AUPRC any"] if yes_no else ["macro F1", "macro AUPRC", "micro F1", "F1 any", "all right"]
    )
    print_table(
        ("model", "posts", *heads, "false alarms"),
        (_row(row, yes_no=yes_no) for row in rows),
        title=f"{one.name}, version {one.number}, {one.rows:,} posts{language}",
    )


def _row(row: ModelRow, *, yes_no: bool) -> list[str]:
    name = f"{in_a_table(row)} (champion)" if row.champion else in_a_table(row)
    of_any = with_interval(row.any_f1, row.any_f1_interval)
    false_alarms = percent_text(row.false_alarms)
    if yes_no:
        return [name, f"{row.posts:,}", of_any, share_text(row.any_auprc), false_alarms]
    return [
        name,
        f"{row.posts:,}",
        with_interval(row.macro_f1, row.macro_f1_interval),
        with_interval(row.macro_auprc, row.macro_auprc_interval),
        share_text(row.micro_f1),
        of_any,
        percent_text(row.exact_match),
        false_alarms,
    ]


def _show_comparisons(
    session: Session,
    project: Project,
    sets: Sequence[EvaluationSet],
    names: tuple[str, str],
    *,
    as_json: bool,
) -> None:
    service = ResultsService(session)
    found = []
    for one in sets:
        rows = service.table(project.id, one.id)
        a, b = (pick(rows, name) for name in names)
        if a.evaluation_id == b.evaluation_id:
            raise InvalidInputError("Both names mean the same model.", "Choose two different ones.")
        found.append((one, (a, b), service.compare(a.evaluation_id, b.evaluation_id)))
    if as_json:
        print_json([{"set": one.name, "version": one.number, "comparison": each} for one, _, each in found])
        return
    for one, both, each in found:
        _show_comparison(one, each)
        for row in both:
            for said in _beside_regression(service, row):
                messages.print(f"{row.name}: {said}", markup=False)


def _both(found: Difference) -> tuple[str, str, str]:
    return share_text(found.a), share_text(found.b), span_text(found)


def _show_comparison(one: EvaluationSet, found: Comparison) -> None:
    rows = [
        (
            *(category.name, f"{category.support:,}", *_both(category.f1)),
            *(p_text(category.f1_p), f"{category.only_a_right:,}", f"{category.only_b_right:,}"),
            p_text(category.mcnemar_p),
        )
        for category in found.categories
    ]
    rows += [
        (name, "", *_both(difference), "" if p is None else p_text(p), "", "", "")
        for name, difference, p in (
            ("macro F1", found.macro_f1, found.macro_f1_p),
            ("macro AUPRC", found.macro_auprc, None),
            ("F1 any", found.any_f1, found.any_f1_p),
            ("AUPRC any", found.any_auprc, None),
            ("all right", found.exact_match, found.mcnemar_p),
        )
        if difference.difference is not None
    ]
    print_table(
        (
            *("category", "posts", found.a_name, found.b_name, "first − second", "p"),
            *("only first right", "only second", "McNemar p"),
        ),
        rows,
        title=f"{one.name}, version {one.number}, {found.posts:,} posts: F1",
    )
    if found.categories:
        out.print(
            "p of the categories is corrected for all of them being looked at (Holm); where that of F1 is "
            "below .05 it is called a difference. An interval is of its category alone.",
            markup=False,
        )
    out.print(
        f"Posts that only {found.a_name} got right: {found.only_a_right:,}; only {found.b_name}: "
        f"{found.only_b_right:,}; both: {found.both_right:,}; neither: {found.neither_right:,} "
        f"(exact McNemar test: p {p_text(found.mcnemar_p)}).",
        markup=False,
    )
    out.print(found.sentence, markup=False)
    for note in found.notes:
        messages.print(note, markup=False)
