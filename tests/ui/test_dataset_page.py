import pytest
from sqlalchemy import select

from backend.db.engine import Database
from backend.db.models import DatasetVersion, Item
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.jobs import JobKind
from backend.jobs.service import JobService
from tests.backend.build import add_item
from tests.ui.scene import HOSTILE, open_page, press, read_as_markdown, seed, shown


def test_without_a_project_the_page_says_where_to_begin(sqlite_database: Database) -> None:
    app = open_page("dataset")
    assert not app.exception
    assert "No project yet" in shown(app)


def test_items_are_listed_and_posts_stay_plain_characters(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("dataset")
    assert not app.exception and not app.error
    assert "**1–30** of 30 items" in shown(app)
    assert "![seen](https://stranger.example/pixel.png) &lt;img src=x" in shown(app)
    assert "![seen]" not in read_as_markdown(app)


def test_a_filter_narrows_the_list(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("dataset")
    app.selectbox(key="items-Category").set_value("scam").run()
    assert "of 10 items" in shown(app)
    app.text_input(key="items-search").set_value("number 2,").run()
    assert "of 1 item" in shown(app)
    app.selectbox(key="items-Split").set_value("test").run()
    assert "Take back a filter" in shown(app)


def test_a_row_opens_the_whole_history(sqlite_database: Database) -> None:
    seed(sqlite_database)
    with sqlite_database.read() as session:
        item = session.scalars(select(Item).where(Item.text == HOSTILE)).one()
    app = open_page("dataset")
    press(app, f"Open {item.external_id}")
    assert not app.exception
    said = shown(app)
    assert "Label that came with the post" in said
    assert "The teacher teacher-1 said" in said
    assert "Because of 0." in said
    assert "<img" not in said
    press(app, "Send to review")
    with sqlite_database.read() as session:
        assert session.get_one(Item, item.id).sent_back


def test_a_version_is_built_opened_and_built_no_second_time(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("dataset")
    app.session_state["dataset-tab"] = "Versions"
    app.run()
    assert "rows to learn" in shown(app)
    app.radio(key="handling").set_value(Handling.DROP).run()
    press(app, "Build version")
    assert not app.exception and not app.error
    assert "### Version 1" in shown(app)
    press(app, "All versions")
    app.radio(key="handling").set_value(Handling.DROP).run()
    press(app, "Build version")
    with sqlite_database.read() as session:
        assert [version.handling for version in session.scalars(select(DatasetVersion))] == [Handling.DROP]


def test_what_nearly_repeats_a_test_post_is_counted_before_it_is_left_out(sqlite_database: Database) -> None:
    project = seed(sqlite_database)
    with sqlite_database.write() as session:
        taught = session.scalars(select(Item).where(Item.split == Split.TRAIN).order_by(Item.id.desc()))
        add_item(session, project, f"{next(taught).text} *!*", split=Split.TEST)
    app = open_page("dataset")
    app.session_state["dataset-tab"] = "Versions"
    app.run()
    assert not app.exception and not app.error
    assert "nearly the same as a post of the test split" in shown(app)
    press(app, "Build version")
    with sqlite_database.read() as session:
        [version] = session.scalars(select(DatasetVersion))
    assert version.counts["left_out"]["nearly the same as a post of the test split"] == 1


def test_what_cannot_be_built_is_said_in_words(sqlite_database: Database) -> None:
    seed(sqlite_database, posts=3)
    with sqlite_database.write() as session:
        session.execute(select(Item))
        for item in session.scalars(select(Item).order_by(Item.id).limit(1)):
            item.held_out = True
    app = open_page("dataset")
    app.session_state["dataset-tab"] = "Versions"
    app.run()
    app.radio(key="handling").set_value(Handling.KEEP).run()
    press(app, "Build version")
    assert not app.exception
    assert any("a single training row" in error.value for error in app.error)


def test_a_long_file_is_written_by_the_worker(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = seed(sqlite_database)
    monkeypatch.setattr("ui.components.export.AT_ONCE", 10)
    app = open_page("dataset")
    press(app, "Write the file")
    assert not app.exception and not app.error
    with sqlite_database.read() as session:
        [job] = JobService(session).list(project.id, kind=JobKind.EXPORT)
    assert job.payload == {"version_id": None, "format": "jsonl"}
    assert "No worker is running, so this waits" in shown(app)
