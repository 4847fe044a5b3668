"""A set's groups and disguises in the terminal: how a model does in each."""

from __future__ import annotations

from rich.table import Column, Table
from rich.text import Text

from backend.cli.output import messages, out
from backend.evaluation.comparison import share_text
from backend.evaluation.drop import Drop, cost_text
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


def show_drop(name: str, found: Drop | None) -> None:
    """What disguises cost a model; nothing where the set is no robustness set."""
    if found is None:
        return
    if found.overall is not None:
        table = Table(
            "disguise",
            "posts",
            "F1 as written",
            "F1 disguised",
            "cost",
            "AUPRC cost",
            title=Text(f"{name}, what disguises cost"),
            title_justify="left",
        )
        for cost in (found.overall, *found.disguises):
            f1 = cost.f1
            table.add_row(
                cost.name or "all",
                f"{cost.posts:,}",
                *(share_text(f1.a), share_text(f1.b), cost_text(f1), cost_text(cost.auprc)),
            )
        out.print(table)
    messages.print(f"{name}: {found.sentence}", markup=False)


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
