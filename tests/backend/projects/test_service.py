"""Projects on both databases."""

import pytest

from backend import events
from backend.db.engine import Database
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.policies.service import PolicyService
from backend.projects.service import ProjectService
from training.policy import Category

RULES = [Category(code="scam", name="Scam", definition="tricks people."), Category(code="hate", name="Hate")]


def make(database: Database, name: str) -> int:
    with database.write() as session:
        return ProjectService(session).create(name, categories=RULES, none_label="ok", person="ada").id


def test_a_project_begins_with_its_first_policy(database: Database) -> None:
    number = make(database, "  My   posts ")
    with database.read() as session:
        project = ProjectService(session).get("My posts")
        assert (project.id, project.none_label, project.created_by) == (number, "ok", "ada")
        version = PolicyService(session).newest(number)
        assert (version.number, [one.code for one in version.categories]) == (1, ["scam", "hate"])
        assert [event.text for event in events.latest(session, number)] == ["Made the project My posts."]


def test_a_name_goes_before_a_number(database: Database) -> None:
    first, second = make(database, "a"), make(database, "1")
    with database.read() as session:
        projects = ProjectService(session)
        assert projects.get("1").id == second
        assert projects.get(first).name == "a"
        assert projects.get(str(second)).name == "1"
        assert projects.find("nothing") is None
        for missing in ("nothing", "9" * 30, 77, "0"):
            with pytest.raises(NotFoundError) as error:
                projects.get(missing)
            assert error.value.hint == "Projects: 1, a."


def test_the_only_project_needs_no_name(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFoundError, match="no project yet") as error:
        ProjectService(session).only()
    assert "overrule import" in error.value.hint
    make(database, "b")
    with database.read() as session:
        assert ProjectService(session).only().name == "b"
    make(database, "a")
    with database.read() as session:
        with pytest.raises(InvalidInputError) as several:
            ProjectService(session).only()
        assert several.value.hint == "Projects: a, b."
        assert [project.name for project in ProjectService(session).list()] == ["a", "b"]


def test_names_that_cannot_be(database: Database) -> None:
    make(database, "a")
    with pytest.raises(ConflictError):
        make(database, " a ")
    for name in ("", "  ", "x" * 201):
        with pytest.raises(InvalidInputError):
            make(database, name)


def test_blur_is_a_setting(database: Database) -> None:
    number = make(database, "a")
    with database.write() as session:
        ProjectService(session).set_blur(number, True)
    with database.read() as session:
        assert ProjectService(session).get(number).blur
