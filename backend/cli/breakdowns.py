"""A set's groups in the terminal: how often a model is right in each."""

from __future__ import annotations

from rich.table import Column, Table
from rich.text import Text

from backend.cli.output import messages, out
from backend.evaluation.groups import Breakdown, Share, in_words, percent


def show(name: str, found: Breakdown, *, yes_no: bool, by_group: bool) -> None:
    """What is flagged of harmless posts, in a yes/no set, and where asked for each group.

    Args:
        name: the model's.
        found: how it did.
        yes_no: whether the set knows only yes and no.
        by_group: whether to show the groups.
    """
    if yes_no and (said := in_words(found)):
        messages.print(f"{name} {said}.", markup=False)
    if by_group and found.groups:
        out.print(_table(name, found))


def _table(name: str, found: Breakdown) -> Table:
    # What groups are called comes from a file: a bracket in it must not become a style.
    table = Table(
        Column(Text(found.group_by or "")),
        "posts",
        "right",
        "false alarms",
        "missed",
        title=Text(f"{name}, the worst first"),
        title_justify="left",
    )
    for group in found.groups:
        table.add_row(
            Text(group.name or "–"),
            f"{group.posts:,}",
            percent(group.right),
            _count(group.false_alarms),
            _count(group.missed),
        )
    return table


def _count(share: Share) -> str:
    return f"{share.count:,} of {share.of:,}" if share.of else "–"
