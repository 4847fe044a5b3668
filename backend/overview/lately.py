"""What happened lately: what was recorded, and what people judged, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from backend.db.models.review import Verdict
from backend.overview.views import Happening, JudgedPost
from backend.text import things

LOOKED_AT = 5_000
"""Newest judgements that are looked at: a team's day or two. Looking at all would take longer each week."""


@dataclass(slots=True)
class _Day:
    """A person's judgements of a day, in which a post counts as it was judged last."""

    person: str
    date: date
    last: datetime
    verdicts: dict[int, Verdict] = field(default_factory=dict)


def judged(newest: Sequence[JudgedPost], since: datetime | None) -> list[Happening]:
    """A line for each person and day on which posts were judged, the newest first.

    Args:
        newest: judgements, the newest first.
        since: when the first of them was, where there are older ones; None where these are all.
    """
    days: dict[tuple[str, date], _Day] = {}
    for one in newest:
        today = one.at.astimezone().date()
        day = days.setdefault((one.person, today), _Day(one.person, today, one.at))
        day.verdicts.setdefault(one.item_id, one.verdict)
    cut_off = since.astimezone().date() if since is not None else None
    found = (_told(day, at_least=day.date == cut_off) for day in days.values())
    return [happening for happening in found if happening is not None]


def _told(day: _Day, *, at_least: bool) -> Happening | None:
    verdicts = [verdict for verdict in day.verdicts.values() if verdict is not Verdict.WITHDRAWN]
    if not verdicts:
        return None
    wrong = verdicts.count(Verdict.WRONG_LABELS)
    said = f"Judged {'at least ' if at_least else ''}{things(len(verdicts), 'post')}"
    said += f", the teacher wrong on {wrong:,}" if wrong else ""
    return Happening(day.last, day.person, f"{said}.")
