"""Chips can be read, and a category keeps its colour."""

from __future__ import annotations

import itertools

import pytest

from backend.db.engine import Database
from backend.policies.service import PolicyService
from tests.backend.build import add_project
from training.policy import Category
from ui.components import labels

PAIRS = [*labels.COLOURS, labels.NEUTRAL]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("colour", "ground"), [*((a, b) for a, b, _, _ in PAIRS), *((c, d) for _, _, c, d in PAIRS)]
)
def test_words_on_chips_can_be_read(colour: str, ground: str) -> None:
    assert contrast(colour, ground) >= 4.5


def test_no_two_colours_are_the_same() -> None:
    assert all(one != other for one, other in itertools.combinations(labels.COLOURS, 2))


def test_a_category_keeps_its_colour_through_versions(database: Database) -> None:
    with database.write() as session:
        project, _ = add_project(session, codes=("hate", "scam"))
        before = labels.load(session, project.id)
        wanted = [Category(code="new", name="New"), Category(code="scam", name="Fraud")]
        PolicyService(session).create_version(project.id, wanted, person="tester", fates={"hate": "new"})
        after = labels.load(session, project.id)
    assert after.colour("scam") == before.colour("scam")
    assert after.colour("hate") == before.colour("hate")
    assert after.colour("new") not in (after.colour("scam"), after.colour("hate"))
    assert after.name("scam") == "Fraud"
    assert after.current == ("new", "scam")


def test_a_hostile_name_stays_text() -> None:
    looks = labels.Looks({"a": "<b>A</b>"}, ("a",))
    assert "<b>" not in looks.chip("a")
    assert "<b>" not in labels.none_chip("<b>")


def test_no_label_is_not_the_same_as_not_known() -> None:
    looks = labels.Looks({}, ())
    assert labels.NO_VIOLATION in looks.chips(())
    assert labels.NO_VIOLATION not in looks.chips(None)
    assert looks.words(None) == "–"
    assert looks.words(()) == labels.NO_VIOLATION
