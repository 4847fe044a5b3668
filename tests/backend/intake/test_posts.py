"""Importing posts, on both databases: what goes in, what stays out, and that twice is once."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from backend import events
from backend.db.engine import Database
from backend.db.models import Import, Item, ItemLabel, Judgement, Project, TeacherAnswer, TeacherRun
from backend.db.models.content import Agreement, Queue, Split
from backend.db.models.review import Source, Verdict
from backend.errors import InvalidInputError
from backend.intake.columns import ColumnMapping
from backend.intake.labels import LabelMode
from backend.intake.reports import ImportReport, Rejected
from backend.intake.service import IntakeService
from backend.items.repository import ItemRepository
from backend.policies.service import PolicyService
from backend.projects.service import ProjectService
from tests.backend.intake.files import write, write_csv, write_jsonl

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
HEADER = ["id", "text", "label", "reason"]


def load(database: Database, path: Path, project: str = "P", **options: Any) -> ImportReport:
    with database.write() as session:
        return IntakeService(session).import_posts(project, path, person="ada", **options)


def items(database: Database) -> dict[str, Item]:
    with database.read() as session:
        return {item.external_id: item for item in session.scalars(select(Item).order_by(Item.id))}


def labels(database: Database) -> dict[str, set[str]]:
    with database.read() as session:
        rows = session.execute(select(Item.external_id, ItemLabel.code).outerjoin_from(Item, ItemLabel))
        found: dict[str, set[str]] = {}
        for name, code in rows:
            found.setdefault(name, set()).update({code} - {None})
        return found


def count(database: Database, model: type[Any]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    return write_csv(
        tmp_path / "posts.csv",
        [
            HEADER,
            ["007", "Pay the fee", "scam", "asks for money"],
            ["NA", "Hello there", "ok", ""],
            ["3", "Get out", "hate_speech", ""],
            ["4", "Nobody looked at this", "", ""],
        ],
    )


def test_a_new_project_gets_its_policy_from_the_labels(database: Database, posts: Path) -> None:
    report = load(database, posts)
    assert (report.project_created, report.rows, report.added, report.labelled) == (True, 4, 4, 3)
    assert (report.none_label, report.none_guessed) == ("ok", True)
    assert report.new_categories == ("hate_speech", "scam")
    with database.read() as session:
        project = session.scalars(select(Project)).one()
        assert (project.name, project.none_label) == ("P", "ok")
        policy = PolicyService(session).training_policy(PolicyService(session).newest(project.id))
        assert [(one.code, one.name) for one in policy.categories] == [
            ("hate_speech", "Hate speech"),
            ("scam", "Scam"),
        ]
        judgement = session.scalars(select(Judgement).where(Judgement.reason.is_not(None))).one()
        assert (judgement.source, judgement.person, judgement.labels) == (Source.GOLD, "import", ("scam",))
        assert judgement.reason == "asks for money"
        assert [event.text for event in events.latest(session, project.id)] == [
            "Imported 4 posts from posts.csv.",
            "Made the project P.",
        ]
    assert labels(database) == {"007": {"scam"}, "NA": set(), "3": {"hate_speech"}, "4": set()}
    found = items(database)
    # Not labelled is not the same as harmless: only the first waits to be judged.
    assert found["4"].queue is Queue.SCRATCH
    assert found["NA"].queue is None
    assert found["NA"].decision_source == "gold"


def test_the_same_file_again_adds_nothing(database: Database, posts: Path) -> None:
    load(database, posts)
    before = {model: count(database, model) for model in (Item, Judgement, Import)}
    again = load(database, posts)
    assert not again.changed
    assert (again.added, again.updated, again.unchanged, again.project_created) == (0, 0, 4, False)
    assert {model: count(database, model) for model in (Item, Judgement, Import)} == before
    with database.read() as session:
        assert len(events.latest(session, again.project_id)) == 2


def test_a_new_label_or_reason_supersedes(database: Database, posts: Path, tmp_path: Path) -> None:
    load(database, posts)
    changed = write_csv(
        tmp_path / "b.csv",
        [
            HEADER,
            ["007", "Pay  the fee", "ok", ""],
            ["3", "Get out", "hate_speech", "drives people away"],
            ["4", "Nobody looked at this", "scam", ""],
            ["NA", "Hello there", "", ""],
        ],
    )
    report = load(database, changed)
    assert (report.updated, report.unchanged, report.added) == (3, 1, 0)
    assert labels(database)["007"] == set()
    assert labels(database)["4"] == {"scam"}
    again = load(database, changed)
    assert (again.updated, again.changed) == (0, False)
    with database.read() as session:
        superseded = session.scalars(select(Judgement).where(Judgement.supersedes_id.is_not(None))).all()
        assert len(superseded) == 2


def test_equal_texts_become_one_item(database: Database, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv",
        [
            HEADER,
            ["1", "Buy ﬁne gold", "scam", ""],
            ["2", " Buy  fine\ngold ", "scam", ""],
            ["3", "Buy fine gold", "none", ""],
            ["1", "Buy fine gold", "scam", ""],
            ["4", "no label first", "", ""],
            ["5", "no label first", "scam", ""],
        ],
    )
    report = load(database, path)
    assert (report.added, report.duplicates, report.conflicting) == (2, 4, 1)
    assert labels(database) == {"1": {"scam"}, "4": {"scam"}}
    again = load(database, path)
    assert (again.changed, again.unchanged, again.duplicates, again.conflicting) == (False, 2, 4, 1)


def test_rows_that_cannot_be_used_are_told_by_line(database: Database, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "id,text,label\n"
        "1,fine,scam\n"
        "2,,scam\n"
        "3,a\0b,scam\n"
        '4,"two\nlines",none\n'
        "5,short\n"
        f"6,{'x' * 100_001},scam\n"
        "1,other text,scam\n"
        f"{'7' * 201},long id,scam\n"
        "8,fine too,none\n",
    )
    report = load(database, path)
    assert (report.rows, report.added, report.rejected_count) == (9, 3, 6)
    assert report.rejected == (
        Rejected(3, "the text is empty"),
        Rejected(4, "text has a NUL byte"),
        Rejected(7, report.rejected[2].why),
        Rejected(8, "text has 100,001 characters; at most 100,000 are read"),
        Rejected(9, "the id '1' is taken: line 2 has it with another text"),
        Rejected(10, "id has 201 characters; at most 200 fit"),
    )
    assert "it has 2 cells and the header 3" in report.rejected[2].why


def test_an_id_that_clashes_is_told_with_its_first_line_wherever_that_was(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.intake.service._CHUNK", 2)
    load(database, write_csv(tmp_path / "a.csv", [HEADER, ["1", "one", "scam", ""]]))
    path = write_csv(
        tmp_path / "b.csv",
        [
            HEADER,
            ["1", "not one", "scam", ""],
            ["2", "two", "scam", ""],
            ["3", "three", "scam", ""],
            ["1", "one", "scam", ""],
            ["4", "four", "scam", ""],
            ["2", "not two", "scam", ""],
            ["1", "again not one", "scam", ""],
        ],
    )
    report = load(database, path)
    assert (report.added, report.unchanged) == (3, 1)
    assert [(one.line, one.why.split(": ")[1]) for one in report.rejected] == [
        (2, "the project has it with another text"),
        (7, "line 3 has it with another text"),
        (8, "line 5 has it with another text"),
    ]


def test_labels_that_the_policy_does_not_know(database: Database, posts: Path, tmp_path: Path) -> None:
    load(database, posts)
    path = write_csv(
        tmp_path / "b.csv",
        [
            HEADER,
            ["10", "New kind", "spam", ""],
            ["11", "Old kind", "Hate Speech", ""],
            ["12", "Harmless", "ok", ""],
        ],
    )
    with database.read() as session:
        project_id = ProjectService(session).only().id
        unknown = IntakeService(session).unknown_labels(
            project_id, ["spam", "Hate Speech", "ok", "meh"], "meh"
        )
    assert unknown == ("spam", "ok")
    report = load(database, path)
    assert (report.added, report.rejected_count, report.unknown_labels) == (2, 1, {"spam": 1})
    with database.read() as session:
        assert events.latest(session, project_id)[0].text == "Imported 2 posts from b.csv."
    assert report.rejected == (Rejected(2, "the policy does not know the label 'spam'"),)
    more = load(database, path, add_categories=True)
    assert (more.added, more.unchanged, more.new_categories, more.policy_version) == (1, 2, ("spam",), 2)
    with database.read() as session:
        assert events.latest(session, project_id)[0].text == "Imported 1 post from b.csv."
    assert labels(database)["10"] == {"spam"}
    with database.read() as session:
        versions = PolicyService(session).versions(more.project_id)
        assert [[one.code for one in version.categories] for version in versions] == [
            ["hate_speech", "scam", "spam"],
            ["hate_speech", "scam"],
        ]
    assert load(database, path, add_categories=True).policy_version == 2


def test_the_label_for_none_is_a_choice(database: Database, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [HEADER, ["1", "a", "fun", ""], ["2", "b", "scam", ""]])
    report = load(database, path, none_label="Fun")
    assert (report.none_guessed, report.new_categories) == (False, ("scam",))
    assert load(database, path).none_label == "Fun"
    with pytest.raises(InvalidInputError, match="No row has the label 'fnu'"):
        load(database, path, "Q", none_label="fnu")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("id,text,label\n", "has no rows"),
        ("id,note\n1,x\n", "no column with the posts' text"),
        ("id,text\n1,hello\n", "no labels, so no policy"),
        ("id,text,label\n1,hello,none\n", "only label is 'none'"),
        ("id,text,label\n1,,scam\n2,,scam\n", "None of the 2 rows could be used: line 2: the text is empty"),
        (
            "id,text,label\n" + "".join(f"{n},t{n},free text {n}\n" for n in range(300)),
            "more than 200 different labels",
        ),
    ],
)
def test_a_file_that_is_no_use_changes_nothing(
    database: Database, tmp_path: Path, content: str, message: str
) -> None:
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(InvalidInputError, match=message) as error:
        load(database, path)
    assert error.value.hint
    assert count(database, Project) == count(database, Item) == count(database, Import) == 0


def test_a_file_that_breaks_off_changes_nothing(database: Database, posts: Path, tmp_path: Path) -> None:
    load(database, posts)
    rows = ", ".join(f'{{"id": "n{n}", "text": "t{n}"}}' for n in range(3_000))
    path = write(tmp_path / "a.json", f"[{rows}, {{")
    with pytest.raises(InvalidInputError, match=r"cannot be read: line \d+"):
        load(database, path)
    assert count(database, Item) == 4


def test_splits_given_stand_and_others_follow_from_the_text(database: Database, tmp_path: Path) -> None:
    header = ["id", "text", "label", "split"]
    words = ["training", "dev", "test", ""]
    rows = [[str(n), f"post {n}", "scam", words[n % 4]] for n in range(40)]
    report = load(database, write_csv(tmp_path / "a.csv", [header, *rows]))
    found = items(database)
    assert found["0"].split is Split.TRAIN
    assert found["1"].split is Split.VALIDATION
    assert found["2"].split is Split.TEST
    assert Counter(item.split for item in found.values()) == report.splits
    other = load(database, write_csv(tmp_path / "b.csv", [header, *([*row[:3], ""] for row in rows)]), "Q")
    with database.read() as session:
        hashed = dict(
            session.execute(
                select(Item.external_id, Item.split).where(Item.project_id == other.project_id)
            ).all()
        )
    assert all(hashed[str(n)] is found[str(n)].split for n in range(3, 40, 4))


def test_an_item_keeps_its_split(database: Database, tmp_path: Path) -> None:
    header = ["id", "text", "label", "split"]
    load(
        database,
        write_csv(tmp_path / "a.csv", [header, ["1", "a", "scam", "test"], ["2", "b", "ok", "train"]]),
    )
    report = load(
        database,
        write_csv(tmp_path / "b.csv", [header, ["1", "a", "scam", "train"], ["2", "b", "ok", "test"]]),
    )
    assert (report.split_kept, report.changed) == (2, False)
    found = items(database)
    assert (found["1"].split, found["2"].split) == (Split.TEST, Split.TRAIN)


def test_one_column_per_category_and_metadata(database: Database, tmp_path: Path) -> None:
    rows = [
        {"id": 1, "text": "a", "toxic": 1, "threat": 1, "likes": 7, "author": {"n": "x"}, "source": "web"},
        {"id": 2, "text": "b", "toxic": 0, "threat": 0, "likes": None},
        {"id": 3, "text": "c", "toxic": None, "threat": None},
        {"id": 4, "text": "d", "toxic": 0.5, "threat": 0},
    ]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    mapping = ColumnMapping(
        id="id", text="text", labels=("toxic", "threat"), label_mode=LabelMode.COLUMNS, source="source"
    )
    report = load(database, path, mapping=mapping)
    assert (report.added, report.labelled, report.rejected_count) == (3, 2, 1)
    assert labels(database) == {"1": {"toxic", "threat"}, "2": set(), "3": set()}
    found = items(database)
    assert found["1"].meta == {"likes": 7, "author": {"n": "x"}}
    assert found["1"].source == "web"
    assert found["3"].queue is Queue.SCRATCH


def test_what_no_database_can_keep_is_left_out(database: Database, tmp_path: Path) -> None:
    rows = [
        {"id": "1", "text": "fine", "label": "scam", "more": {"deep": [1e400, "x"]}},
        {"id": "2", "text": "half \ud83d", "label": "scam"},
        {"id": "3", "text": "fine", "label": "scam", "more": {"deep": ["a\0b"]}},
        {"id": "4", "text": "fine", "label": "scam", "a\0b": 1},
        {"id": "5", "text": ["fine"], "label": "scam"},
    ]
    report = load(database, write_jsonl(tmp_path / "a.jsonl", rows))
    assert items(database)["1"].meta == {"more": {"deep": [None, "x"]}}
    assert [one.why for one in report.rejected] == [
        "text has half a character (a lone surrogate)",
        "more has a NUL byte",
        "the name of a column has a NUL byte",
        "the text is a list or an object",
    ]


def test_without_ids_a_post_is_known_by_its_text(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\nhello,ok\nbuy,scam\nhello,ok\n")
    assert (load(database, path).added, load(database, path).unchanged) == (2, 2)
    named = write(tmp_path / "b.csv", "id,text,label\n1,hello,ok\n")
    report = load(database, named)
    assert (report.added, report.duplicates) == (0, 1)


def test_a_review_outlives_a_new_import(database: Database, posts: Path, tmp_path: Path) -> None:
    report = load(database, posts)
    with database.write() as session:
        item = session.scalars(select(Item).where(Item.external_id == "007")).one()
        version = PolicyService(session).newest(report.project_id)
        review = Judgement(
            item_id=item.id,
            policy_version_id=version.id,
            source=Source.REVIEW,
            person="ada",
            verdict=Verdict.FROM_SCRATCH,
            labels=("hate_speech",),
        )
        session.add(review)
        ItemRepository(session).refresh([item.id])
    load(
        database,
        write_csv(tmp_path / "b.csv", [HEADER, ["007", "Pay the fee", "ok", ""]]),
    )
    assert labels(database)["007"] == {"hate_speech"}


def test_answers_in_the_same_file(database: Database, tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "a.jsonl",
        [
            {
                "id": "1",
                "text": "Pay me",
                "label": "scam",
                "analysis": "asks",
                "harmful": ["Pay"],
                "teacher_labels": ["scam"],
                "teacher_model": "m",
            },
            {"id": "2", "text": "Hello", "label": "ok", "analysis": "mean", "teacher_labels": "scam"},
            {"id": "3", "text": "Bye", "label": "ok", "analysis": "?", "teacher_labels": "rubbish"},
            {"id": "4", "text": "Not asked", "label": "ok"},
        ],
    )
    report = load(database, path, model="fallback")
    assert report.answers is not None
    assert (report.answers.added, report.answers.invalid) == (3, 1)
    assert report.answers.models == ("fallback", "m")
    found = items(database)
    assert [found[name].agreement for name in "1234"] == [
        Agreement.AGREES,
        Agreement.FALSE_ALARM,
        Agreement.INVALID,
        Agreement.UNANSWERED,
    ]
    again = load(database, path, model="fallback")
    assert again.answers is not None
    assert (again.changed, again.answers.unchanged) == (False, 3)
    assert (count(database, TeacherRun), count(database, TeacherAnswer)) == (2, 3)


def test_without_gold_the_policy_is_drawn_from_the_teacher(database: Database, tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "a.jsonl",
        [
            {"id": "1", "text": "a", "analysis": "x", "teacher_label": "not_hate"},
            {"id": "2", "text": "b", "analysis": "x", "teacher_label": "hate"},
        ],
    )
    report = load(database, path)
    assert (report.new_categories, report.none_label) == (("hate",), "not_hate")
    assert {item.agreement for item in items(database).values()} == {Agreement.UNVERIFIED}


WORDS = st.sampled_from(["a", "b", " a ", "ﬁ", "fi", "c\nd", "c d", "", "e\0"])
ROWS = st.lists(
    st.tuples(st.sampled_from("1234"), WORDS, st.sampled_from(["x", "y", "ok", "", "x;y"])), max_size=10
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=10,
)
@given(ROWS, st.integers(1, 4))
@example([("2", "a", "x"), ("1", "a", "x"), ("1", "b", "x")], 1)
def test_any_file_twice_is_that_file_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Any], chunk: int
) -> None:
    monkeypatch.setattr("backend.intake.service._CHUNK", chunk)
    first = ["0", "always here", "x", ""]
    path = write_csv(tmp_path / "a.csv", [HEADER, first, *([*row, ""] for row in rows)])
    project = f"P{count(database, Project)}"
    report = load(database, path, project)
    accounted = report.added + report.unchanged + report.updated + report.duplicates + report.rejected_count
    assert accounted == report.rows == len(rows) + 1
    judgements = count(database, Judgement)
    again = load(database, path, project)
    assert not again.changed
    assert count(database, Judgement) == judgements
    assert again.rejected == report.rejected


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data with real posts is not here")
def test_real_posts_all_come_in(sqlite_database: Database) -> None:
    mapping = ColumnMapping(id="id", text="text", labels=("label",), reason="implied_statement")
    report = load(sqlite_database, DATA / "implicit_hate.csv", "implicit-hate", mapping=mapping)
    assert (report.rows, report.added, report.rejected_count, report.none_label) == (
        21_476,
        21_476,
        0,
        "not_hate",
    )
    with sqlite_database.write() as session:
        answers = IntakeService(session).import_answers(
            report.project_id, DATA / "implicit_hate_teacher.jsonl", person="ada"
        )
    assert (answers.rows, answers.added, answers.rejected_count) == (2_904, 2_904, 0)
    with sqlite_database.read() as session:
        kinds = dict(session.execute(select(Item.agreement, func.count()).group_by(Item.agreement)).all())
        reasons = session.scalar(select(func.count()).where(Judgement.reason.is_not(None)))
    assert (kinds[Agreement.FALSE_ALARM], kinds[Agreement.MISSED], kinds[Agreement.AGREES]) == (847, 90, 1967)
    assert reasons == 6_194
