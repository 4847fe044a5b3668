"""`overrule wordlist …`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import app
from backend.cli.output import JsonOption, ProjectOption, messages, print_json, print_table
from backend.db.engine import get_database
from backend.projects.service import ProjectService
from backend.settings import get_settings
from backend.text import things
from backend.word_lists.service import WordListReport, WordListService, by_category

word_list_app = typer.Typer(
    help="Your own word list, judged beside the models.", no_args_is_help=True, rich_markup_mode="rich"
)
app.add_typer(word_list_app, name="wordlist")


@word_list_app.command("import", epilog="Example: overrule wordlist import blocked.csv -p posts")
def import_words(
    file: Annotated[
        Path,
        typer.Argument(
            help="A table with the columns word and category, or .txt with a word or phrase a line."
        ),
    ],
    project: ProjectOption = None,
    category: Annotated[
        str | None,
        typer.Option(help="What words stand for that the file gives no category; else any violation."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Take a file's words as your word list, in place of the one that was there.

    It stands as "Your word list" in the table of every evaluation that is made from now on;
    earlier evaluations keep their figures. Words and phrases are found whole, in any case.
    """
    with get_database().write() as session:
        projects = ProjectService(session)
        place = projects.get(project) if project else projects.only()
        report = WordListService(session).import_file(
            place.id, file, category=category, person=get_settings().person
        )
    if json:
        print_json(asdict(report))
        return
    _show(report)


@word_list_app.command("show", epilog="Example: overrule wordlist show --json")
def show_words(project: ProjectOption = None, json: JsonOption = False) -> None:
    """Show how many words stand for what; with --json the words, too."""
    with get_database().read() as session:
        projects = ProjectService(session)
        place = projects.get(project) if project else projects.only()
        found = WordListService(session).newest(place.id)
    if json:
        print_json(
            None
            if found is None
            else {"number": found.number, "file_name": found.file_name, "entries": found.entries}
        )
        return
    if found is None:
        messages.print("There is no word list yet: overrule wordlist import blocked.csv")
        return
    counts = by_category(found.entries) | {
        "any violation": sum(not codes for codes in found.entries.values())
    }
    rows = ((name, f"{count:,}") for name, count in counts.items())
    print_table(("category", "words"), rows, title=f"Version {found.number}")


def _show(report: WordListReport) -> None:
    if not report.changed:
        messages.print(f"Nothing new: version {report.number} of the list has the same words.")
        return
    messages.print(f"Version {report.number} of your word list: {things(report.words, 'word')}.")
    parts = [*report.by_category.items(), ("any violation", report.any_violation)]
    for name, count in parts:
        if count:
            messages.print(f"  {name}: {count:,}", markup=False)
    for what, count in (("Lines without a word", report.blank), ("Said twice", report.repeated)):
        if count:
            messages.print(f"{what}: {count:,}")
    messages.print("Evaluate models anew to see it beside them: overrule evaluate --base")
