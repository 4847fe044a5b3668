"""Versions for a study: drawn, with a category left out, with simulated second answers."""

from dataclasses import replace

import pytest

from backend.curation.handling import Answered, Candidate, Decided, LeftOut, Rules, Taught, Why
from backend.curation.service import CurationService
from backend.curation.variation import AS_IT_IS, Variation, draw, smallest_draw, varied
from backend.db.engine import Database
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.errors import InvalidInputError
from tests.backend.curation.posts import Post, add_posts, fill
from tests.backend.curation.test_datasets import taught

CODES = ("hate", "scam")
WRONG = Candidate(
    Split.TRAIN,
    answer=Answered(("scam",), "why"),
    decision=Decided(("hate",), reason="people's reason", harmful=("post",)),
)


def test_draws_are_uniform_apart_by_purpose_and_lie_within_larger_ones() -> None:
    names = [(number, f"post {number}") for number in range(4_000)]
    chances = [draw("rows 0", name) for _, name in names]
    assert 0 <= min(chances) < max(chances) < 1
    assert sum(chances) / 4_000 == pytest.approx(0.5, abs=0.02)
    small, large = smallest_draw(names, 100, 0), smallest_draw(names, 1_000, 0)
    assert (len(small), len(large)) == (100, 1_000)
    assert small < large
    other = smallest_draw(names, 1_000, 1)
    # Independent draws of a quarter share a quarter.
    assert len(large & other) / 1_000 == pytest.approx(0.25, abs=0.05)
    repaired = [draw("repaired 0", name) < 0.5 for number, name in names if number in large]
    assert sum(repaired) / 1_000 == pytest.approx(0.5, abs=0.06)


def test_a_simulated_second_answer_is_peoples_or_the_first_again() -> None:
    keep, drop = (Rules(handling, CODES) for handling in (Handling.RECHECK_KEEP, Handling.RECHECK_DROP))
    people = Taught(("hate",), "people's reason", ("post",), "recheck")
    for number in range(40):
        name = f"post {number}"
        right = draw("repaired 3", name) < 0.4
        some = Variation(repaired=0.4, seed=3)
        again = Taught(("scam",), "why", (), "recheck")
        assert varied(name, WRONG, keep, some) == (people if right else again)
        assert varied(name, WRONG, drop, some) == (people if right else LeftOut(Why.WRONG_AGAIN))
        assert varied(name, WRONG, keep, Variation(repaired=1.0)) == people
        assert varied(name, WRONG, drop, Variation(repaired=0.0)) == LeftOut(Why.WRONG_AGAIN)
    assert varied("post", WRONG, drop, AS_IT_IS) == LeftOut(Why.NOT_RECHECKED)


def test_only_wrong_answers_that_people_know_to_be_wrong_are_asked_again() -> None:
    rules, all_of_them = Rules(Handling.RECHECK_KEEP, CODES), Variation(repaired=1.0)
    right = replace(WRONG, decision=Decided(("scam",)))
    asked = replace(WRONG, recheck=Answered((), "again"))
    for row in (right, asked, replace(WRONG, decision=None), replace(WRONG, answer=None)):
        assert varied("post", row, rules, all_of_them) == varied("post", row, rules, AS_IT_IS)


def test_a_category_left_out_is_not_taught_as_no_violation_either() -> None:
    rules, without = Rules(Handling.KEEP, CODES), Variation(leave_out="hate")
    missed = replace(WRONG, answer=Answered((), "fine"))
    alarm = Candidate(Split.TRAIN, answer=Answered(("hate",), "why"), decision=Decided(()))
    other = replace(alarm, answer=Answered(("scam",), "why"))
    for row in (WRONG, missed, alarm):
        assert varied("post", row, rules, without) == LeftOut(Why.CATEGORY)
    assert varied("post", other, rules, without) == Taught(("scam",), "why", (), "teacher")


def test_a_version_with_fewer_rows_keeps_its_validation_rows_and_says_what_it_is(database: Database) -> None:
    project_id, _ = fill(database)
    with database.write() as session:
        service = CurationService(session)
        whole = service.build(project_id, Handling.KEEP, person="ada").version
        small = service.build(project_id, Handling.KEEP, variation=Variation(rows=4), person="ada").version
        smaller = service.build(project_id, Handling.KEEP, variation=Variation(rows=2), person="ada").version
        again = service.build(project_id, Handling.KEEP, variation=Variation(rows=4), person="ada")
        unchanged = service.build(project_id, Handling.KEEP, person="ada")
    assert [one.counts["rows"]["train"] for one in (whole, small, smaller)] == [9, 4, 2]
    assert {one.counts["rows"]["validation"] for one in (whole, small, smaller)} == {1}
    assert small.counts["variation"] == {"rows": 4, "seed": 0}
    assert small.counts["left_out"][Why.NOT_DRAWN] == 5
    assert (again.created, again.version.id) == (False, small.id)
    assert (unchanged.created, unchanged.version.id) == (False, whole.id)
    assert taught(database, smaller).keys() < taught(database, small).keys() < taught(database, whole).keys()


def test_two_handlings_draw_the_same_posts_as_far_as_both_have_them(database: Database) -> None:
    posts = tuple(
        Post(f"{number}", ("scam",), ("scam",) if number % 4 else ("hate",)) for number in range(60)
    )
    with database.write() as session:
        project_id, _ = add_posts(session, posts=posts)
        service = CurationService(session)
        keep, drop = (
            service.build(project_id, handling, variation=Variation(rows=30, seed=5), person="ada").version
            for handling in (Handling.KEEP, Handling.DROP)
        )
    wrong = {str(number) for number in range(0, 60, 4)}
    assert taught(database, keep).keys() - wrong <= taught(database, drop).keys()


def test_simulated_answers_are_marked_in_the_version(database: Database) -> None:
    project_id, _ = fill(database)
    with database.write() as session:
        version = (
            CurationService(session)
            .build(project_id, Handling.RECHECK_DROP, variation=Variation(repaired=1.0), person="ada")
            .version
        )
    assert any("simulated" in warning for warning in version.counts["warnings"])
    assert version.counts["variation"] == {"repaired": 1.0, "seed": 0}
    assert "wrong" in taught(database, version)


def test_an_unknown_category_is_refused(database: Database) -> None:
    project_id, _ = fill(database)
    with database.write() as session, pytest.raises(InvalidInputError, match="no category 'spam'"):
        CurationService(session).build(
            project_id, Handling.KEEP, variation=Variation(leave_out="spam"), person="ada"
        )
