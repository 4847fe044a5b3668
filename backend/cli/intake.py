"""`overrule import` and `overrule policy …`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session

from backend.cli import app
from backend.cli.output import JsonOption, ProjectOption, messages, print_json, print_table, progress_bar
from backend.db.engine import get_database
from backend.db.models import Project
from backend.errors import InvalidInputError
from backend.intake.columns import ColumnMapping, Purpose, guess_mapping, with_labels
from backend.intake.readers import open_table
from backend.intake.reports import AnswerReport, ImportReport, Rejected, SetReport
from backend.intake.service import IntakeService
from backend.policies.service import ChangeKind, PolicyService
from backend.projects.service import ProjectService
from backend.settings import get_settings

_SHOWN = 10

policy_app = typer.Typer(help="Read and change the rules.", no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(policy_app, name="policy")


@app.command(
    "import",
    epilog="Example: overrule import posts.csv --project posts --labels label --reason why",
)
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON, JSONL, Parquet or XLSX.")],
    project: Annotated[
        str | None,
        typer.Option(
            "--project", "-p", help="Name or id; made if new. Without it: the only one, or the file's name."
        ),
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column with the posts' ids.")] = None,
    text: Annotated[str | None, typer.Option(help="Column with the posts' text.")] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="Column with the labels; once for each of several 0/1 columns.")
    ] = None,
    separator: Annotated[str | None, typer.Option(help="Between several labels in one cell.")] = None,
    reason: Annotated[str | None, typer.Option(help="Column with a person's reason.")] = None,
    split: Annotated[str | None, typer.Option(help="Column that says train, validation or test.")] = None,
    source: Annotated[str | None, typer.Option(help="Column that says where a post comes from.")] = None,
    none_label: Annotated[str | None, typer.Option(help='The label that means "no violation".')] = None,
    add_categories: Annotated[
        bool, typer.Option("--add-categories", help="Make a new policy version for unknown labels.")
    ] = False,
    answers: Annotated[
        bool, typer.Option("--answers", help="The file holds a teacher's answers to posts that are there.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="The teacher's name, where no column says it.")] = None,
    evaluation_set: Annotated[
        str | None, typer.Option(help="Import as an evaluation set of this name, never trained on.")
    ] = None,
    positive: Annotated[
        list[str] | None, typer.Option(help="In a yes/no set: a label that means yes. May be repeated.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="In a set with labels of its own: threats=hateful, a category and the label that "
            "stands for it. May be repeated.",
        ),
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(help="Column by which a set's figures are also given.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="A set's language: en, de, pt-BR.")] = None,
    json_: JsonOption = False,
) -> None:
    """Import posts, a teacher's answers, or an evaluation set.

    Columns are guessed from their names and contents; every option overrides a guess. A row
    that cannot be used is reported with its line, and the others go in. Importing the same
    file again adds nothing. Without a split column 70 of 100 posts are for training, 10 for
    validation and 20 for testing, by a hash of the text; an item never changes its split.
    """
    if answers and evaluation_set is not None:
        raise typer.BadParameter("choose --answers or --evaluation-set, not both")
    of_a_set = {"--positive": positive, "--map": map_, "--group-by": group_by, "--language": language}
    if evaluation_set is None and (given := [name for name, value in of_a_set.items() if value]):
        raise typer.BadParameter(f"{given[0]} belongs to --evaluation-set")
    purpose = Purpose.ANSWERS if answers else Purpose.SET if evaluation_set is not None else Purpose.POSTS
    chosen = {"id": id_, "text": text, "reason": reason, "split": split, "source": source, "group": group_by}
    mapping = _mapping(file, purpose, chosen, tuple(labels or ()), separator)
    person = get_settings().person
    with progress_bar(f"Importing {file.name}") as progress, get_database().write() as session:
        service = IntakeService(session)
        report: ImportReport | AnswerReport | SetReport
        if purpose is Purpose.POSTS:
            report = service.import_posts(
                _name(session, project, file),
                file,
                mapping=mapping,
                none_label=none_label,
                add_categories=add_categories,
                model=model,
                person=person,
                on_progress=progress,
            )
        elif purpose is Purpose.ANSWERS:
            report = service.import_answers(
                _project(session, project).id,
                file,
                mapping=mapping,
                model=model,
                person=person,
                on_progress=progress,
            )
        else:
            report = service.import_evaluation_set(
                _project(session, project).id,
                file,
                name=evaluation_set or "",
                mapping=mapping,
                positive=positive or None,
                label_map=_label_map(map_) if map_ else None,
                language=language,
                none_label=none_label,
                person=person,
            )
    if json_:
        print_json(asdict(report) | {"changed": report.changed})
    else:
        _show(report)


def _mapping(
    file: Path,
    purpose: Purpose,
    chosen: dict[str, str | None],
    labels: tuple[str, ...],
    separator: str | None,
) -> ColumnMapping:
    """The guess at the columns, overridden by what the person said."""
    table = open_table(file)
    mapping = guess_mapping(table.columns, table.sample, purpose).with_(**chosen)
    if purpose is Purpose.ANSWERS:
        return mapping.with_(answer_labels=labels[0] if labels else None)
    if labels or separator is not None:
        mapping = with_labels(mapping, labels or None, table.sample, separator=separator)
    return mapping


def _label_map(said: Sequence[str]) -> dict[str, str]:
    """The set's label for each category that was named; a category has one."""
    found: dict[str, str] = {}
    for one in said:
        category, equals, label = (part.strip() for part in one.partition("="))
        if not equals or not category or not label:
            raise typer.BadParameter(f"{one!r} should be category=label", param_hint="--map")
        if found.setdefault(category, label) != label:
            raise typer.BadParameter(f"{category!r} is given two labels", param_hint="--map")
    return found


def _name(session: Session, project: str | None, file: Path) -> str:
    """The project to import into; without a name the only one, or a new one called like the file."""
    if project is not None:
        return project
    if not ProjectService(session).list():
        return file.stem
    return ProjectService(session).only().name


def _project(session: Session, project: str | None) -> Project:
    projects = ProjectService(session)
    return projects.get(project) if project is not None else projects.only()


def _show(report: ImportReport | AnswerReport | SetReport) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for what, value in _lines(report):
        # Labels and names come from the file: a bracket in one must not become a style.
        table.add_row(what, Text(f"{value:>9,}" if isinstance(value, int) else value))
    messages.print(table)
    _show_rejected(report.rejected, report.rejected_count)
    if isinstance(report, ImportReport) and report.answers is not None:
        messages.print("Teacher's answers")
        _show(report.answers)
    elif isinstance(report, SetReport) and report.updated:
        messages.print("The posts are there already; what is known of the set was noted.")
    elif not report.changed:
        messages.print("Nothing new: everything in this file is there already.")
    if isinstance(report, SetReport) and report.created and report.one_sided:
        messages.print(report.one_sided)


def _show_rejected(rejected: Sequence[Rejected], count: int) -> None:
    for one in rejected[:_SHOWN]:
        messages.print(f"  line {one.line:,}: {one.why}", style="yellow", markup=False, highlight=False)
    if count > _SHOWN:
        messages.print(f"  and {count - _SHOWN:,} more; --json tells the first thousand")


def _lines(report: ImportReport | AnswerReport | SetReport) -> list[tuple[str, Any]]:
    """What to tell, a line each; what did not happen is left out."""
    lines: list[tuple[str, Any]]
    if isinstance(report, ImportReport):
        made = "new project" if report.project_created else f"policy version {report.policy_version}"
        lines = [("Project", f"{report.project} ({made})"), ("Rows read", report.rows)]
        lines += [("Posts added", report.added)]
        lines += [(f"  for {split.value}", count) for split, count in report.splits.items()]
        optional = [
            ("Posts with a new label or reason", report.updated),
            ("Posts there already", report.unchanged),
            ("Rows with the post of another row", report.duplicates),
            ("  of these with another label, not used", report.conflicting),
            ("Posts that keep their split against the file", report.split_kept),
            ("Kept out of training: in an evaluation set", report.held_out),
        ]
    elif isinstance(report, AnswerReport):
        lines = [("Rows read", report.rows), ("Answers added", report.added)]
        optional = [
            ("Answers that differ from an earlier import", report.updated),
            ("Answers there already", report.unchanged),
            ("Unreadable, kept as they came", report.invalid),
            ("With a recheck", report.rechecked),
            ("To posts that the project does not have", report.unknown),
        ]
    else:
        lines = [("Evaluation set", f"{report.name}, version {report.number}")]
        lines += [("Posts in the set", report.rows), ("  that break a rule", report.positive)]
        optional = [
            ("Rows given twice", report.duplicates),
            ("Items kept out of training", report.held_out),
        ]
        lines += _about(report)
    lines += [(what, count) for what, count in optional if count]
    if not isinstance(report, AnswerReport):
        lines += _label_lines(report)
    if report.rejected_count:
        lines.append(("Rows left out", report.rejected_count))
    return lines


def _about(report: SetReport) -> list[tuple[str, str]]:
    """What is known of a set beside its posts."""
    lines: list[tuple[str, str]] = []
    if report.language is not None:
        lines.append(("Language", report.language))
    if report.not_grouped is not None:
        lines.append(("Not grouped by", f"{report.not_grouped}: one value, or far too many"))
    elif report.group_by is not None:
        lines.append(("Grouped by", f"{report.group_by} ({report.groups:,} groups)"))
    lines += [("Stands for " + code, label) for code, label in (report.label_map or {}).items()]
    if report.unmapped:
        lines.append(("Labels that stand for no category", ", ".join(report.unmapped)))
    return lines


def _label_lines(report: ImportReport | SetReport) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    if report.none_label is not None:
        guessed = " (guessed; --none-label says otherwise)" if report.none_guessed else ""
        lines.append(('Means "no violation"', f"{report.none_label}{guessed}"))
    if isinstance(report, ImportReport) and report.new_categories:
        lines.append(("New categories", ", ".join(report.new_categories)))
    if report.unknown_labels:
        unknown = ", ".join(
            f"{label} ({count:,})" for label, count in list(report.unknown_labels.items())[:_SHOWN]
        )
        lines.append(("Labels that the policy does not know", unknown))
    return lines


@policy_app.command("show", epilog="Example: overrule policy show --project posts")
def show_policy(project: ProjectOption = None, json_: JsonOption = False) -> None:
    """Show the newest policy, with how often each category occurs."""
    with get_database().read() as session:
        policies = PolicyService(session)
        found = _project(session, project)
        version = policies.newest(found.id)
        policy, counts = policies.training_policy(version), policies.counts(found.id)
    if json_:
        categories = [
            category.model_dump(mode="json") | asdict(counts[category.code]) for category in policy.categories
        ]
        print_json({"project": found.name, "version": version.number, "categories": categories})
        return
    messages.print(f"{found.name}: policy version {version.number}", markup=False)
    rows = []
    for category in policy.categories:
        count = counts[category.code]
        numbers = (f"{number:,}" for number in (count.decided, count.teacher_named, count.disagree))
        rows.append((category.code, category.name, category.definition, *numbers))
    print_table(("code", "name", "definition", "decided", "teacher", "disagree"), rows)


@policy_app.command("export", epilog="Example: overrule policy export policy.yaml --project posts")
def export_policy(
    file: Annotated[Path | None, typer.Argument(help="Where to write; standard output without it.")] = None,
    project: ProjectOption = None,
) -> None:
    """Write the newest policy as YAML, to change it and import it again."""
    with get_database().read() as session:
        policies = PolicyService(session)
        text = policies.to_yaml(policies.newest(_project(session, project).id))
    if file is None:
        typer.echo(text, nl=False)
        return
    file.write_text(text, "utf-8")
    messages.print(f"Wrote {file}.", markup=False)


@policy_app.command("import", epilog="Example: overrule policy import policy.yaml --fate insult=harassment")
def import_policy(
    file: Annotated[Path, typer.Argument(help="A YAML file with the categories.")],
    project: Annotated[str | None, typer.Option("--project", "-p", help="Name or id; made if new.")] = None,
    fate: Annotated[
        list[str] | None,
        typer.Option(help="For a removed category: old=new moves its items, old=again has them judged anew."),
    ] = None,
    note: Annotated[str, typer.Option(help="Why the policy changes.")] = "",
    none_label: Annotated[
        str | None, typer.Option(help='For a new project: the label that means "no violation".')
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Make a new policy version from a YAML file; a new project begins with it."""
    person = get_settings().person
    fates = dict(_fate(one) for one in fate or ())
    text = _read(file)
    with get_database().write() as session:
        policies, projects = PolicyService(session), ProjectService(session)
        categories = policies.categories_from_yaml(text)
        name = project or (None if projects.list() else file.stem)
        found = projects.find(name) if name is not None else projects.only()
        if found is None:
            found = projects.create(name or "", categories=categories, none_label=none_label, person=person)
            before = version = policies.newest(found.id)
        else:
            before = policies.newest(found.id)
            version = policies.create_version(found.id, categories, note=note, person=person, fates=fates)
        changes = policies.diff(before, version)
    if json_:
        told = [{"code": one.code, "kind": one.kind, "fields": one.fields} for one in changes]
        print_json({"project": found.name, "version": version.number, "changes": told})
        return
    messages.print(f"{found.name}: policy version {version.number}", markup=False)
    for change in changes:
        fields = f" ({', '.join(change.fields)})" if change.kind is ChangeKind.CHANGED else ""
        messages.print(f"  {change.kind.value} {change.code}{fields}", markup=False)
    if not changes and before.number > 1:
        messages.print("Nothing changed: this is the newest version already.")


def _fate(said: str) -> tuple[str, str | None]:
    old, equals, new = (part.strip() for part in said.partition("="))
    if not equals or not old or not new:
        raise typer.BadParameter(f"{said!r} should be old=new or old=again", param_hint="--fate")
    return old, None if new == "again" else new


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read ({error.strerror}).", "Check the name.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{file} is not UTF-8 text.", "Save it as UTF-8.") from error
