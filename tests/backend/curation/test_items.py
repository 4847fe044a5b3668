"""Browsing items, and everything that happened to one."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from backend.curation.item_repository import page_query
from backend.curation.service import CurationService
from backend.curation.views import NONE, ItemFilter
from backend.db.engine import Database
from backend.db.models import Import, Item, Job, PolicyVersion, Run
from backend.db.models.content import Agreement, Split
from backend.db.models.curation import Handling
from backend.db.models.jobs import JobKind
from backend.db.models.review import Source, Verdict
from backend.errors import NotFoundError
from backend.review.service import ReviewService
from tests.backend.build import add_item, add_project
from tests.backend.curation.posts import POSTS, fill


def names(database: Database, project_id: int, chosen: ItemFilter) -> set[str]:
    with database.read() as session:
        page = CurationService(session).items(project_id, chosen, limit=100)
    assert page.total == len(page.rows)
    return {row.excerpt.removeprefix("the post ") for row in page.rows}


def test_items_are_paged_by_key(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        add_item(session, add_project(session, name="Other")[0], "another project's post")
    seen, after, totals = [], None, []
    while True:
        with database.read() as session:
            page = CurationService(session).items(project_id, after=after, limit=5)
        seen += [row.id for row in page.rows]
        totals.append(page.total)
        if (after := page.next_after) is None:
            break
    assert seen == sorted(ids.values())
    assert totals == [len(POSTS), None, None, None]


def test_each_filter_finds_its_items(database: Database) -> None:
    project_id, _ = fill(database)
    for chosen, expected in (
        (ItemFilter(split=Split.VALIDATION), {"validation"}),
        (ItemFilter(category="hate"), {"right hate", "mended", "corrected", "gold only", "from scratch"}),
        (ItemFilter(category=NONE), {"right none", "wrong", "wrong again"}),
        (ItemFilter(verdict=Verdict.BAD_REASON), {"bad reason"}),
        (ItemFilter(agreement=Agreement.FALSE_ALARM), {"wrong", "wrong again"}),
        (ItemFilter(agreement=Agreement.OTHER_LABELS), {"mended", "corrected"}),
        (ItemFilter(source="sms"), {"right", "right hate", "right none"}),
        (ItemFilter(unreviewed=False), {"corrected", "bad reason", "cannot tell", "from scratch"}),
        (ItemFilter(search="RIGHT", category="hate"), {"right hate"}),
        (ItemFilter(source="sms", split=Split.TEST), set()),
    ):
        assert names(database, project_id, chosen) == expected, chosen
    everything = {post.name for post in POSTS}
    reviewed = names(database, project_id, ItemFilter(unreviewed=False))
    assert names(database, project_id, ItemFilter(unreviewed=True)) == everything - reviewed
    assert names(database, project_id, ItemFilter()) == everything


SEARCHED = ("100% sure", "a_b", "axb", "back\\slash", "ärger im büro", "BÜRO zu", "x'; drop table items; --")


def test_search_takes_what_is_typed_literally_in_any_case(database: Database) -> None:
    with database.write() as session:
        project, _ = add_project(session)
        for post in SEARCHED:
            add_item(session, project, post)
        add_item(session, project, "by its id").external_id = "ID-77"
    for search, found in (
        ("100%", {"100% sure"}),
        ("%", {"100% sure"}),
        ("_", {"a_b"}),
        ("A_B", {"a_b"}),
        ("\\", {"back\\slash"}),
        ("ÄRGER", {"ärger im büro"}),
        ("büro", {"ärger im büro", "BÜRO zu"}),
        ("'; drop", {"x'; drop table items; --"}),
        ("id-7", {"by its id"}),
        ("  ", {*SEARCHED, "by its id"}),
        ("nul\x00", set()),
        ("nowhere", set()),
    ):
        assert names(database, project.id, ItemFilter(search=search)) == found, search


def test_a_list_loads_the_beginning_of_a_text_only(database: Database) -> None:
    with database.write() as session:
        project, _ = add_project(session)
        add_item(session, project, "two\n\nlines and\t" + "long " * 10_000)
    with database.read() as session:
        row = CurationService(session).items(project.id).rows[0]
    assert row.excerpt.startswith("two lines and long")
    assert len(row.excerpt) <= 200
    assert (row.labels, row.teacher_labels, row.verdict) == (None, None, None)
    selected = [
        column.name for column in page_query(project.id, ItemFilter(), after=0, limit=5).selected_columns
    ]
    assert "text" not in selected


def test_a_row_shows_labels_of_both_sides(database: Database) -> None:
    project_id, _ = fill(database)
    with database.read() as session:
        rows = {row.excerpt: row for row in CurationService(session).items(project_id).rows}
    wrong, dropped = rows["the post mended"], rows["the post cannot tell"]
    assert (wrong.labels, wrong.teacher_labels) == (("hate",), ("scam",))
    assert (dropped.labels, dropped.verdict) == (None, Verdict.CANNOT_TELL)
    assert rows["the post right none"].labels == ()


def test_sources_are_counted(database: Database) -> None:
    project_id, _ = fill(database)
    with database.read() as session:
        assert CurationService(session).sources(project_id) == {"mail": len(POSTS) - 3, "sms": 3}


def test_a_history_tells_everything_in_order(database: Database) -> None:
    project_id, ids = fill(database)
    item_id = ids["mended"]
    with database.write() as session:
        imported = Import(
            project_id=project_id,
            file_name="posts.csv",
            file_hash="0",
            mapping={},
            counts={},
            created_by="eve",
        )
        session.add(imported)
        session.flush()
        session.get_one(Item, item_id).import_id = imported.id
        review = ReviewService(session, person="ada", browser="b", lease_minutes=1)
        review.decide(item_id, Verdict.DISCARD)
        review.undo(project_id)
        review.decide(item_id, Verdict.WRONG_LABELS, labels=["hate"], reason="because")
        curation = CurationService(session)
        version = curation.build(project_id, Handling.REVIEW, person="ada").version
        curation.build(project_id, Handling.DROP, person="ada")
        job = Job(project_id=project_id, kind=JobKind.TRAIN, title="run", created_by="ada")
        session.add(job)
        session.flush()
        session.add(
            Run(
                project_id=project_id,
                number=1,
                dataset_version_id=version.id,
                policy_version_id=session.get_one(PolicyVersion, version.policy_version_id).id,
                job_id=job.id,
                base_model="default",
                preset="quick",
                config={},
                created_by="ada",
            )
        )
    with database.read() as session:
        history = CurationService(session).history(item_id)
    assert history.text == "the post mended"
    assert history.imported is not None
    assert (history.imported.file_name, history.imported.person) == ("posts.csv", "eve")
    assert [(answer.round, answer.labels, answer.analysis) for answer in history.answers] == [
        (0, ("scam",), "why mended"),
        (1, ("hate",), "again mended"),
    ]
    assert [(said.source, said.verdict, said.withdrawn, said.stands) for said in history.judgements] == [
        (Source.GOLD, None, False, False),
        (Source.REVIEW, Verdict.DISCARD, True, False),
        (Source.REVIEW, Verdict.WITHDRAWN, False, False),
        (Source.REVIEW, Verdict.WRONG_LABELS, False, True),
    ]
    assert [(one.number, one.labels, one.origin, one.reasoned) for one in history.versions] == [
        (1, ("hate",), "people", True)
    ]
    assert [(run.number, run.version_number) for run in history.runs] == [(1, 1)]


def test_an_item_that_nothing_happened_to_has_a_short_history(database: Database) -> None:
    with database.write() as session:
        item = add_item(session, add_project(session)[0], "alone")
        history = CurationService(session).history(item.id)
        assert (history.imported, history.answers, history.judgements) == (None, [], [])
        assert (history.versions, history.runs) == ([], [])
        with pytest.raises(NotFoundError):
            CurationService(session).history(10**9)


@pytest.mark.parametrize(
    ("chosen", "index"),
    [
        (ItemFilter(), "ix_items_project"),
        (ItemFilter(split=Split.TRAIN), "ix_items_project_split"),
        (ItemFilter(agreement=Agreement.MISSED), "ix_items_project_agreement"),
        (ItemFilter(verdict=Verdict.RIGHT), "ix_items_project_verdict"),
        (ItemFilter(source="sms"), "ix_items_project_source"),
    ],
)
def test_a_page_comes_from_an_index_unsorted(
    sqlite_database: Database, chosen: ItemFilter, index: str
) -> None:
    query = page_query(1, chosen, after=7, limit=50)
    sql = query.compile(sqlite_database.engine, compile_kwargs={"literal_binds": True})
    with sqlite_database.read() as session:
        plan = " | ".join(row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {sql}")))
    assert f"INDEX {index} " in plan
    assert "TEMP B-TREE" not in plan
