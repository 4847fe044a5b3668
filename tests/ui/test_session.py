"""The project that is chosen, and what tells browsers apart."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from backend.db.engine import Database
from tests.backend.build import add_project
from tests.ui.scene import APP, open_page, shown


def two(database: Database) -> tuple[int, int]:
    with database.write() as session:
        one, _ = add_project(session, name="Alpha")
        other, _ = add_project(session, name="Beta")
    return one.id, other.id


def headings(app: AppTest) -> list[str]:
    return [str(title.value) for title in app.title]


def test_the_first_project_is_chosen_and_stands_in_the_address(sqlite_database: Database) -> None:
    one, _ = two(sqlite_database)
    app = AppTest.from_file(APP, default_timeout=60).run()
    assert headings(app) == ["Alpha"]
    assert app.query_params["project"] == str(one)


def test_the_address_says_the_project(sqlite_database: Database) -> None:
    _, other = two(sqlite_database)
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["project"] = str(other)
    assert headings(app.run()) == ["Beta"]


def test_an_address_with_nonsense_opens_the_first_project(sqlite_database: Database) -> None:
    two(sqlite_database)
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["project"] = "²<b>"
    assert headings(app.run()) == ["Alpha"]


def test_another_project_stays_chosen_on_other_pages(sqlite_database: Database) -> None:
    _, other = two(sqlite_database)
    app = AppTest.from_file(APP, default_timeout=60).run()
    app.sidebar.selectbox[0].set_value(other).run()
    assert headings(app) == ["Beta"]
    app.switch_page("pages/policy.py").run()
    assert app.query_params["project"] == str(other)


def test_the_worker_that_is_not_there_is_said_in_words(sqlite_database: Database) -> None:
    app = open_page("overview")
    assert "No worker is running: jobs wait" in shown(app)


def test_the_person_stands_at_the_top(sqlite_database: Database) -> None:
    app = open_page("overview")
    assert '<div class="ov-person">tester</div>' in shown(app)


def test_a_browser_without_a_cookie_is_given_one(sqlite_database: Database) -> None:
    app = AppTest.from_file(APP, default_timeout=60).run()
    scripts = [element.proto.body for element in app.get("html") if "<script>" in element.proto.body]
    assert len(scripts) == 1
    assert f"overrule_browser={app.session_state['overrule_browser']}" in scripts[0]
    assert "SameSite=Strict" in scripts[0]
