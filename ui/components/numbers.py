"""Numbers as people read them: 21,476; .71; 3 min left; 14:02; 12 Mar."""

from __future__ import annotations

from datetime import datetime, tzinfo

from backend.evaluation.comparison import share_text

NOTHING = "–"
"""What stands where there is no figure."""


def count(number: int | None) -> str:
    """21476 → 21,476."""
    return NOTHING if number is None else f"{number:,}"


def things(number: int, one: str, many: str | None = None) -> str:
    """(1, "answer") → 1 answer; (79, "answer") → 79 answers."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def rough(number: float) -> str:
    """An estimate, in two figures: 213482 → 210,000."""
    digits = len(str(abs(round(number))))
    return count(int(round(number, min(0, 2 - digits))))


def score(value: float | None) -> str:
    """A measure between 0 and 1: .7134 → .71, 1 → 1.00."""
    return share_text(value)


def change(value: float | None) -> str:
    """The difference of two measures, with its sign: +.06, −.02, ±.00."""
    return share_text(value, signed=True)


def share(part: int, whole: int) -> str:
    """(41, 79) → 52%."""
    return NOTHING if whole == 0 else f"{part / whole:.0%}"


def duration(seconds: float | None) -> str:
    """75 → 1 min, 8 → 8 s, 9000 → 2 h 30 min."""
    if seconds is None:
        return NOTHING
    if seconds < 59.5:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def left(seconds: float | None) -> str:
    """Time that something still takes: 3 min left."""
    return "" if seconds is None else f"{duration(seconds)} left"


def size(octets: float | None) -> str:
    """Bytes in the units of files: 98 MB, 1.2 GB."""
    if octets is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB"):
        if octets < 999.5:
            return f"{octets:.0f} {unit}" if unit in ("B", "kB", "MB") else f"{octets:.1f} {unit}"
        octets /= 1000
    return f"{octets:.1f} TB"


def clock(at: datetime, zone: tzinfo | None = None) -> str:
    """14:02, in the given zone or in the computer's own."""
    return at.astimezone(zone).strftime("%H:%M")


def day(at: datetime, zone: tzinfo | None = None) -> str:
    """12 Mar."""
    local = at.astimezone(zone)
    return f"{local.day} {local:%b}"


def moment(at: datetime, *, now: datetime | None = None, zone: tzinfo | None = None) -> str:
    """The hour for today, else the day, with the year where it is not this one."""
    local, today = at.astimezone(zone), (now or datetime.now(at.tzinfo)).astimezone(zone)
    if local.date() == today.date():
        return clock(at, zone)
    return day(at, zone) if local.year == today.year else f"{day(at, zone)} {local.year}"


def stamp(at: datetime, *, now: datetime | None = None, zone: tzinfo | None = None) -> str:
    """Day and hour: 14:02 for today, else 12 Mar, 14:02."""
    short = moment(at, now=now, zone=zone)
    return short if short == clock(at, zone) else f"{short}, {clock(at, zone)}"
