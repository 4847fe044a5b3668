from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ui.components import numbers

NOON = datetime(2025, 3, 12, 14, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (numbers.count(21476), "21,476"),
        (numbers.count(None), "–"),
        (numbers.things(1, "answer"), "1 answer"),
        (numbers.things(1200, "category", "categories"), "1,200 categories"),
        (numbers.score(0.7134), ".71"),
        (numbers.score(1.0), "1.00"),
        (numbers.score(0.999), "1.00"),
        (numbers.score(None), "–"),
        (numbers.change(0.061), "+.06"),
        (numbers.change(-0.02), "−.02"),
        (numbers.change(0.001), "±.00"),
        (numbers.share(41, 79), "52%"),
        (numbers.share(0, 0), "–"),
        (numbers.left(8), "8 s left"),
        (numbers.left(59.7), "1 min left"),
        (numbers.left(180), "3 min left"),
        (numbers.left(9000), "2 h 30 min left"),
        (numbers.left(None), ""),
        (numbers.size(98_000_000), "98 MB"),
        (numbers.size(1_240_000_000), "1.2 GB"),
        (numbers.clock(NOON, UTC), "14:02"),
        (numbers.day(NOON, UTC), "12 Mar"),
        (numbers.moment(NOON, now=NOON, zone=UTC), "14:02"),
        (numbers.moment(NOON, now=datetime(2025, 3, 13, tzinfo=UTC), zone=UTC), "12 Mar"),
        (numbers.moment(NOON, now=datetime(2026, 3, 13, tzinfo=UTC), zone=UTC), "12 Mar 2025"),
    ],
)
def test_as_people_read_them(shown: str, wanted: str) -> None:
    assert shown == wanted
