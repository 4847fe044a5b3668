"""What nearly repeats a post that students are judged by is found, counted and never taught."""

import pytest
from sqlalchemy.orm import Session

from backend.curation import leakage
from backend.curation.service import CurationService
from backend.curation.variation import Variation
from backend.db.engine import Database
from backend.db.models import DatasetVersion, EvaluationRow, EvaluationSet, PolicyVersion, Project
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.evaluation import SetOrigin
from backend.errors import InvalidInputError
from backend.items.repository import ItemRepository
from backend.text import text_hash
from tests.backend.build import add_answer, add_item, add_judgement, add_project, add_teacher_run

PARCEL = "Your parcel waits: pay 2 euros of customs at the link below, or it goes back today"
TAX = "The tax office owes you 412 euros, confirm the number of your card within a day"
GARDEN = "We spent the whole afternoon in the garden, and nobody looked at a screen once"
TRAIN = "The train to the coast was late again, so we walked along the river instead"
SOUP = "My grandmother's soup needs two onions, a little patience and no salt at all"

# By hand: another number changes one character of eighty, which is in five shingles of each side.
NEAR_PARCEL = PARCEL.replace("2", "3")
NEAR_TAX = TAX.replace("412", "413").upper()
NEAR_TRAIN = TRAIN.replace("again,", "again  ;")


def add_set(
    session: Session, project: Project, policy: PolicyVersion, name: str, texts: list[str], number: int = 1
) -> EvaluationSet:
    found = EvaluationSet(
        project_id=project.id,
        name=name,
        number=number,
        origin=SetOrigin.IMPORTED,
        policy_version_id=policy.id,
        rows=len(texts),
        hash=name,
        created_by="ada",
    )
    session.add(found)
    session.flush()
    session.add_all(
        EvaluationRow(set_id=found.id, external_id=text, text=text, text_hash=text_hash(text), positive=False)
        for text in texts
    )
    session.flush()
    return found


def add_taught(session: Session, project: Project, policy: PolicyVersion, posts: dict[str, Split]) -> None:
    run = add_teacher_run(session, project, policy)
    items = [add_item(session, project, text, split=split) for text, split in posts.items()]
    for item in items:
        add_answer(session, run, item, ("scam",))
        add_judgement(session, policy, item, ("scam",))
    ItemRepository(session).refresh(item.id for item in items)


def fill(session: Session) -> tuple[Project, PolicyVersion]:
    """Two training posts and a validation post are near; the test post is not decided, nor frozen."""
    project, policy = add_project(session)
    add_item(session, project, PARCEL, split=Split.TEST)
    add_set(session, project, policy, "HateCheck", [GARDEN])
    add_set(session, project, policy, "HateCheck", [TAX, SOUP + " or pepper"], number=2)
    add_set(session, project, policy, "XSTest", [TRAIN, NEAR_PARCEL])
    add_taught(
        session,
        project,
        policy,
        {
            NEAR_PARCEL: Split.TRAIN,
            NEAR_TAX: Split.TRAIN,
            NEAR_TRAIN: Split.VALIDATION,
            GARDEN.lower(): Split.TRAIN,
            SOUP[:39]: Split.TRAIN,
        },
    )
    return project, policy


def taught(session: Session, version: DatasetVersion) -> set[str]:
    return {row.excerpt for row in CurationService(session).rows(version.id).rows}


def test_near_duplicates_are_counted_beforehand_and_left_out(database: Database) -> None:
    with database.write() as session:
        project, _ = fill(session)
        service = CurationService(session)
        previews = service.preview(project.id)
        left_out = {
            "in the test split": 1,
            "nearly the same as a post of the test split": 1,
            "nearly the same as a post of HateCheck": 1,
            "nearly the same as a post of XSTest": 1,
        }
        assert all(preview.left_out == left_out for preview in previews.values())
        assert service.look_for_leaks(project.id) == 3
        for handling in Handling:
            version = service.build(project.id, handling, person="ada").version
            assert taught(session, version) == {GARDEN.lower(), SOUP[:39]}
            counts, preview = version.counts, previews[handling]
            assert (counts["left_out"], counts["labels"]) == (left_out, preview.labels)
            assert counts["rows"] == {"train": 2, "validation": 0}
            assert counts["rows"] == {split.value: rows for split, rows in preview.rows.items()}
            assert counts["warnings"] == preview.warnings


def test_a_version_of_so_many_rows_has_so_many_beside_those_that_fall_out(database: Database) -> None:
    with database.write() as session:
        project, _ = fill(session)
        for seed in range(4):
            version = (
                CurationService(session)
                .build(project.id, Handling.KEEP, variation=Variation(rows=2, seed=seed), person="ada")
                .version
            )
            assert taught(session, version) == {GARDEN.lower(), SOUP[:39]}


def test_posts_and_sets_that_come_later_count_in_the_next_version(database: Database) -> None:
    with database.write() as session:
        project, policy = fill(session)
        first = CurationService(session).build(project.id, Handling.KEEP, person="ada").version
        newest = add_item(session, project, GARDEN.upper(), split=Split.TEST).id
        add_taught(session, project, policy, {"One more, and like no other post": Split.TRAIN})
    with database.write() as session:
        second = CurationService(session).build(project.id, Handling.KEEP, person="ada").version
        assert taught(session, second) == {SOUP[:39], "One more, and like no other post"}
        assert second.counts["left_out"]["nearly the same as a post of the test split"] == 2
        assert second.counts["apart_from"]["newest_item"] == newest + 1
        add_set(session, project, policy, "Late", [SOUP[:41]])
        with pytest.raises(InvalidInputError, match="2 nearly the same as a post of the test split"):
            CurationService(session).build(project.id, Handling.KEEP, person="ada")
        third = CurationService(session).preview(project.id)[Handling.KEEP]
        assert third.left_out["nearly the same as a post of Late"] == 1
        assert first.counts["rows"]["train"] == 2, "a version never changes"


def test_what_falls_out_for_it_alone_is_said_with_what_to_do(database: Database) -> None:
    with database.write() as session:
        project, policy = add_project(session)
        add_set(session, project, policy, "HateCheck", [TAX])
        add_taught(session, project, policy, {NEAR_TAX: Split.TRAIN})
        with pytest.raises(InvalidInputError, match="no training row") as raised:
            CurationService(session).build(project.id, Handling.KEEP, person="ada")
    assert "that do not nearly repeat" in (raised.value.hint or "")


def test_posts_are_looked_through_once_while_nothing_comes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    look = leakage._look
    monkeypatch.setattr(leakage, "_look", lambda *given: looked.append(1) or look(*given))
    with database.write() as session:
        project, _ = fill(session)
    for _ in range(2):
        with database.read() as session:
            CurationService(session).preview(project.id)
        with database.write() as session:
            CurationService(session).build(project.id, Handling.KEEP, person="ada")
    assert len(looked) == 1


def test_nobody_waits_for_many_posts_and_the_page_says_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leakage, "LOOKED_AT_ONCE", 5)
    with database.write() as session:
        project, _ = fill(session)
        service = CurationService(session)
        before = service.preview(project.id)[Handling.KEEP]
        assert before.total == 5 and "are looked for when the version is built" in before.warnings[-1]
        service.look_for_leaks(project.id)
        after = service.preview(project.id)[Handling.KEEP]
        assert after.total == 2 and not any("looked for" in warning for warning in after.warnings)
