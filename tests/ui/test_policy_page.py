from __future__ import annotations

from sqlalchemy import select

from backend.db.engine import Database
from backend.db.models import PolicyVersion
from backend.policies.service import PolicyService, compare
from tests.ui.scene import HOSTILE, open_page, press, read_as_markdown, seed, shown
from training.policy import Category
from ui.components import policy_text
from ui.components.labels import Looks


def newest(database: Database) -> PolicyVersion:
    with database.read() as session:
        project_id = session.scalars(select(PolicyVersion.project_id)).first()
        assert project_id is not None
        return PolicyService(session).newest(project_id)


def test_without_a_project_the_page_says_where_to_begin(sqlite_database: Database) -> None:
    app = open_page("policy")
    assert not app.exception and not app.error
    assert "No policy yet" in shown(app)


def test_the_rules_stand_there_with_their_counts(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("policy")
    assert not app.exception and not app.error
    said = shown(app)
    assert "is hate." in said
    assert "10 posts decided" in said
    assert "The first version" not in said
    assert "version 1" in said


def test_an_edit_makes_a_new_version(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = press(open_page("policy"), "Edit")
    app.text_area(key="policy-0-definition").set_value("demeans people.").run()
    app.text_input(key="policy-note").set_value("Clearer.").run()
    app = press(app, "Save as version 2")
    assert not app.exception and not app.error
    version = newest(sqlite_database)
    assert (version.number, version.note) == (2, "Clearer.")
    assert version.categories[0].definition == "demeans people."
    said = shown(app)
    assert "<del>is</del>" in said and "<ins>demeans</ins>" in said


def test_a_new_category_gets_its_code_from_its_name(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = press(press(open_page("policy"), "Edit"), "Add a category")
    app.text_input(key="policy-2-name").set_value("Self harm").run()
    press(app, "Save as version 2")
    assert [each.code for each in newest(sqlite_database).categories] == ["hate", "scam", "self_harm"]


def test_a_name_that_cannot_be_used_is_said_and_nothing_is_lost(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = press(press(open_page("policy"), "Edit"), "Add a category")
    app.text_input(key="policy-2-name").set_value("None").run()
    app = press(app, "Save as version 2")
    assert "cannot be saved" in app.error[0].value
    assert app.text_input(key="policy-2-name").value == "None"
    assert newest(sqlite_database).number == 1


def test_what_becomes_of_a_removed_category_is_asked(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = press(open_page("policy"), "Edit")
    app.button(key="policy-0-remove").click().run()
    fate = app.selectbox(key="policy-fate-hate")
    assert "10 posts" in fate.label
    fate.set_value("scam").run()
    app = press(app, "Save as version 2")
    assert not app.exception and not app.error
    assert [each.code for each in newest(sqlite_database).categories] == ["scam"]
    with sqlite_database.read() as session:
        counts = PolicyService(session).counts(1)
    assert counts["scam"].decided == 20


def test_a_removed_category_can_be_kept_after_all(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = press(open_page("policy"), "Edit")
    app.button(key="policy-0-remove").click().run()
    app = press(app, "Keep it")
    assert app.text_input(key="policy-0-name").value == "Hate"
    app = press(app, "Discard the changes")
    assert "is hate." in shown(app)


def test_differences_are_literal_text() -> None:
    old = [Category(code="a", name="A", definition="says <b>this</b> here")]
    new = [Category(code="a", name="A", definition="says <i>that</i> here")]
    drawn = policy_text.differences(compare(old, new), Looks({"a": "A"}, ("a",)))
    assert "<b>" not in drawn and "<i>" not in drawn
    assert "<del>" in drawn and "<ins>" in drawn


def test_a_word_list_goes_in_is_counted_and_replaced(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("policy")
    assert "No word list yet" in shown(app)
    assert app.button(key="word-list-import").disabled
    app.file_uploader[0].set_value(
        ("block*ed.csv", f"word,category\n{HOSTILE},hate\nclown,hate\nfree money,\n".encode(), "text/csv")
    ).run()
    app.button(key="word-list-import").click().run()
    assert not app.exception and not app.error
    assert [toast.value for toast in app.toast] == ["Version 1: 3 words and phrases."]
    said = shown(app)
    assert "No word list yet" not in said
    assert "**3 words and phrases** from block\\*ed\\.csv · version 1" in said
    assert "![seen]" not in read_as_markdown(app)
    assert "&lt;img src=x" in said
    app.file_uploader[0].set_value(("other.txt", "clown\n\nClown\n".encode("utf-16"), "text/plain")).run()
    app.selectbox(key="word-list-category").select("scam").run()
    app.button(key="word-list-import").click().run()
    assert [toast.value for toast in app.toast] == [
        "Version 2: 1 word or phrase, 1 line without a word, 1 line said twice."
    ]
    assert "**1 word or phrase** from other\\.txt · version 2" in shown(app)


def test_a_word_list_that_cannot_be_used_is_said_in_words(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("policy")
    app.file_uploader[0].set_value(("a.csv", b"word,category\nclown,joke\n", "text/csv")).run()
    app.button(key="word-list-import").click().run()
    assert not app.exception
    assert "Line 2 of a\\.csv\\: the policy has no category \\'joke\\'" in app.error[0].value
    assert "No word list yet" in shown(app)
