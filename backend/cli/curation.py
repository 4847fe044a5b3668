"""Dataset versions and exports from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from backend.cli import app
from backend.cli.output import JsonOption, ProjectOption, out, print_json, print_table, progress_bar
from backend.curation.export import export_decisions, export_version
from backend.curation.service import CurationService
from backend.curation.variation import Variation
from backend.curation.views import Format, TaughtPage
from backend.db.engine import get_database
from backend.db.models import DatasetVersion, Project
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.projects.service import ProjectService
from backend.settings import get_settings

dataset = typer.Typer(help="Dataset versions: frozen, hashed rows that students learn.", no_args_is_help=True)
app.add_typer(dataset, name="dataset")

Number = Annotated[str, typer.Argument(metavar="VERSION", help='The version\'s number: 3 or "version 3".')]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="What to write; by the file's ending where not given, else jsonl."),
]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", help="The file to write; it is replaced if it exists.")
]


@dataset.command()
def build(
    handling: Annotated[Handling, typer.Option(help="What becomes of the teacher's wrong answers.")],
    include_unverified: Annotated[
        bool, typer.Option("--include-unverified", help="Also use answers that nobody has decided on.")
    ] = False,
    include_unanswered: Annotated[
        bool,
        typer.Option("--include-unanswered", help="With review: also use labels without a teacher's answer."),
    ] = False,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Freeze a dataset version from what stands for the posts now.

    Example: overrule dataset build --handling review
    """
    # Looked for beforehand, because while a version is built nobody else can write.
    with get_database().read() as session:
        place = _project(session, project)
        CurationService(session).look_for_leaks(place.id)
    with get_database().write() as session:
        built = CurationService(session).build(
            place.id,
            handling,
            include_unverified=include_unverified,
            include_unanswered=include_unanswered,
            person=get_settings().person,
        )
    version = built.version
    if json:
        print_json(_document(version) | {"created": built.created})
        return
    if built.created:
        _say(f"Built version {version.number}.")
    else:
        _say(f"Nothing has changed since version {version.number}: it teaches the very same.")
    _describe(version)


@dataset.command("list")
def list_versions(project: ProjectOption = None, json: JsonOption = False) -> None:
    """List the dataset versions, newest first.

    Example: overrule dataset list
    """
    with get_database().read() as session:
        versions = CurationService(session).versions(_project(session, project).id)
    if json:
        print_json([_document(version) for version in versions])
        return
    if not versions:
        _say("There is no dataset version yet. Build one: overrule dataset build --handling review")
        return
    rows = (
        (
            str(version.number),
            version.handling.value,
            f"{version.counts['rows']['train']:,}",
            f"{version.counts['rows']['validation']:,}",
            f"{version.counts['reasoned']:,}",
            f"{version.created_at:%Y-%m-%d %H:%M}",
            version.created_by,
            version.hash[:12],
        )
        for version in versions
    )
    print_table(("version", "handling", "training", "validation", "with reason", "built", "by", "hash"), rows)


@dataset.command()
def show(
    number: Number,
    rows: Annotated[bool, typer.Option("--rows", help="Also list what is taught of each post.")] = False,
    split: Annotated[Split | None, typer.Option(help="With --rows: only this split.")] = None,
    after: Annotated[int | None, typer.Option(help="With --rows: go on after this item.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="With --rows: at most so many.")] = 50,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Show one dataset version: its rows, what was left out and why.

    Example: overrule dataset show 3 --rows --split train
    """
    with get_database().read() as session:
        service = CurationService(session)
        version = service.version(_project(session, project).id, number)
        page = service.rows(version.id, split=split, after=after, limit=limit) if rows else None
    if json:
        listed = {} if page is None else {"taught": page.rows, "next_after": page.next_after}
        print_json(_document(version) | listed)
        return
    _describe(version)
    if page is not None:
        _list_rows(page)


@dataset.command("export")
def export_dataset(
    number: Number,
    file: OutOption,
    format: FormatOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Write a dataset version to a file: JSONL in chat form, CSV for spreadsheets, or Parquet.

    Example: overrule dataset export 3 --format jsonl --out version-3.jsonl
    """
    chosen = _format(format, file)
    with get_database().read() as session, progress_bar("Writing") as bar:
        version = CurationService(session).version(_project(session, project).id, number)
        written = export_version(session, version.id, chosen, file, bar)
    _report(written, chosen, file, as_json=json)


@app.command("export")
def export_all_decisions(
    file: OutOption,
    format: FormatOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Write all decisions to a file: post, teacher's answer, decision, who and when.

    Example: overrule export --format csv --out decisions.csv
    """
    chosen = _format(format, file)
    with get_database().read() as session, progress_bar("Writing") as bar:
        written = export_decisions(session, _project(session, project).id, chosen, file, bar)
    _report(written, chosen, file, as_json=json)


def _project(session: Session, name: str | None) -> Project:
    projects = ProjectService(session)
    return projects.get(name) if name is not None else projects.only()


def _format(chosen: Format | None, file: Path) -> Format:
    by_ending: dict[str, Format] = {".csv": "csv", ".parquet": "parquet"}
    return chosen or by_ending.get(file.suffix.lower(), "jsonl")


def _document(version: DatasetVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "number": version.number,
        "handling": version.handling,
        "include_unverified": version.include_unverified,
        "include_unanswered": version.include_unanswered,
        "policy_version_id": version.policy_version_id,
        "hash": version.hash,
        "created_at": version.created_at,
        "created_by": version.created_by,
        **version.counts,
    }


def _describe(version: DatasetVersion) -> None:
    for line in _lines(version):
        out.print(line, markup=False, highlight=False)


def _lines(version: DatasetVersion) -> Iterator[str]:
    counts = version.counts
    extra = [
        text
        for text, wanted in (
            ("with unverified answers", version.include_unverified),
            ("with unanswered posts", version.include_unanswered),
        )
        if wanted
    ]
    extra += Variation(**counts.get("variation", {})).words
    yield f"Version {version.number}: {', '.join([f'handling {version.handling.value}', *extra])}"
    yield f"  hash {version.hash}"
    yield (
        f"  {counts['rows']['train']:,} rows for training, {counts['rows']['validation']:,} for validation; "
        f"{counts['reasoned']:,} with a reason"
    )
    labels = counts["labels"] | {"none": counts["none"]}
    yield f"  {', '.join(f'{code} {rows:,}' for code, rows in labels.items())}"
    for why, items in counts["left_out"].items():
        yield f"  left out: {items:,} {why}"
    for warning in counts["warnings"]:
        yield f"  Warning: {warning}"


def _list_rows(page: TaughtPage) -> None:
    rows = (
        (
            str(row.item_id),
            row.external_id,
            row.split.value,
            ", ".join(row.labels) or "none",
            row.origin,
            "yes" if row.reasoned else "no",
            row.excerpt,
        )
        for row in page.rows
    )
    print_table(("item", "id", "split", "labels", "whose", "reason", "post"), rows)
    if page.next_after is not None:
        _say(f"More: --after {page.next_after}")


def _report(written: int, format: Format, file: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": file, "format": format, "written": written})
    else:
        _say(f"Wrote {written:,} {'lines' if format == 'jsonl' else 'rows'} to {file}.")


def _say(text: str) -> None:
    typer.echo(text, err=True)
