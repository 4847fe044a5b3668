"""A set's groups and disguises in the terminal: how a model does in each."""

from __future__ import annotations

from backend.cli.output import messages, print_table
from backend.evaluation.comparison import share_text
from backend.evaluation.drop import Drop, cost_text
from backend.evaluation.groups import Breakdown, Share, in_words, percent


def show(name: str, found: Breakdown, *, yes_no: bool, by_group: bool) -> None:
    """What is flagged of harmless posts, in a set that tells little else, and where asked for each group.

    Args:
        name: the model's.
        found: how it did.
        yes_no: whether the set knows only yes and no.
        by_group: whether to show the groups.
    """
    if (yes_no or found.one_kind) and (said := in_words(found)):
        messages.print(f"{name} {said}.", markup=False)
    if by_group and found.groups:
        _show_groups(name, found)
    elif by_group:
        messages.print(f"{name}: the posts of this set have no groups.", markup=False)


def show_drop(name: str, found: Drop | None) -> None:
    """What disguises cost a model; nothing where the set is no robustness set."""
    if found is None:
        return
    if found.overall is not None:
        rows = (
            (
                cost.name or "all",
                f"{cost.posts:,}",
                *(share_text(cost.f1.a), share_text(cost.f1.b)),
                *(cost_text(cost.f1), cost_text(cost.auprc)),
            )
            for cost in (found.overall, *found.disguises)
        )
        print_table(
            ("disguise", "posts", "F1 as written", "F1 disguised", "cost", "AUPRC cost"),
            rows,
            title=f"{name}, what disguises cost",
        )
    messages.print(f"{name}: {found.sentence}", markup=False)


def _show_groups(name: str, found: Breakdown) -> None:
    rows = (
        (
            group.name or "–",
            f"{group.posts:,}",
            percent(group.right),
            _count(group.false_alarms),
            _count(group.missed),
        )
        for group in found.groups
    )
    heads = (found.group_by or "", "posts", "right", "false alarms", "missed")
    print_table(heads, rows, title=f"{name}, the worst first")


def _count(share: Share) -> str:
    return f"{share.count:,} of {share.of:,}" if share.of else "–"
