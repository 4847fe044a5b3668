"""The command line: `overrule …`.

Each module adds the commands of one room. Documents for scripts go to standard output,
messages for people to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import sys

import typer

from backend.db.engine import get_database
from backend.db.migrate import require_ready
from backend.errors import OverruleError

app = typer.Typer(
    help="Moderators overrule the teacher; a small private model learns from it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

ROOMS = {
    "application": ("run", "worker", "migrate", "status", "models"),
    "intake": ("import", "policy"),
    "teacher": ("teach",),
    "curation": ("dataset", "export"),
    "runs": ("train", "retrain", "runs"),
    "evaluation": ("evaluate", "robustness"),
    "word_lists": ("wordlist",),
    "study": ("study",),
    "jobs": ("jobs",),
}
"""Each room's commands. Only the wanted room is imported: evaluation alone takes two seconds."""

# These look after the database by themselves, or need none.
_WITHOUT_DATABASE = frozenset({"run", "migrate", "status", "models"})


@app.callback()
def _ready(context: typer.Context) -> None:
    if context.invoked_subcommand not in _WITHOUT_DATABASE and "--help" not in sys.argv:
        require_ready(get_database())


def main() -> None:
    """Run one command; a foreseen error is a sentence and exit code 1, never a traceback."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for room in [room for room, commands in ROOMS.items() if wanted in commands] or ROOMS:
        importlib.import_module(f"backend.cli.{room}")
    try:
        app()
    except OverruleError as error:
        typer.secho(f"Error: {error.message}", err=True, fg="red")
        if error.hint:
            typer.echo(error.hint, err=True)
        sys.exit(1)
