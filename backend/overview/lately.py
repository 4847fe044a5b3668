"""What happened lately: what was recorded, and what people judged, day by day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from backend.db.models.review import Verdict
from backend.overview.views import Happening, JudgedPost
from backend.text import things

LOOKED_AT = 5_000
"""Newest judgements that are looked at: a team's day or two. Looking at all would take longer each week."""


def judged(newest: Iterable[JudgedPost], since: datetime | None) -> list[Happening]:
    """A line for each person and day on which posts were judged, the newest first.

    Args:
        newest: judgements, the newest first.
        since: when the first of them was, where there are older ones; None where these are all.
    """
    days: dict[tuple[str, date], list[JudgedPost]] = {}
    for one in newest:
        days.setdefault((one.person, _day(one.at)), []).append(one)
    cut_off = None if since is None else _day(since)
    found = (_told(of_day, at_least=day == cut_off) for (_, day), of_day in days.items())
    return [happening for happening in found if happening is not None]


def _day(at: datetime) -> date:
    return at.astimezone().date()


def _told(newest: Sequence[JudgedPost], *, at_least: bool) -> Happening | None:
    """What a person judged on a day, in which a post counts as it was judged last."""
    last = {one.item_id: one.verdict for one in reversed(newest)}
    verdicts = [verdict for verdict in last.values() if verdict is not Verdict.WITHDRAWN]
    if not verdicts:
        return None
    wrong = verdicts.count(Verdict.WRONG_LABELS)
    said = f"Judged {'at least ' if at_least else ''}{things(len(verdicts), 'post')}"
    said += f", the teacher wrong on {wrong:,}" if wrong else ""
    return Happening(newest[0].at, newest[0].person, f"{said}.")
