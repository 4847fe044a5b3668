"""Answers that a teacher gave elsewhere, and evaluation sets, on both databases."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.db.engine import Database
from backend.db.models import EvaluationRow, EvaluationSet, Event, Item, TeacherAnswer, TeacherRun
from backend.db.models.content import Agreement
from backend.db.models.evaluation import SetOrigin
from backend.db.models.teacher import TeacherOrigin
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.intake.reports import AnswerReport, Rejected, SetReport
from backend.intake.service import IntakeService
from backend.policies.service import PolicyService
from tests.backend.intake.files import write_csv, write_jsonl

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def project(database: Database, tmp_path: Path) -> int:
    path = write_csv(
        tmp_path / "posts.csv",
        [
            ["id", "text", "label"],
            ["1", "Pay the fee", "scam"],
            ["2", "Hello there", "ok"],
            ["3", "Get out", "hate"],
        ],
    )
    with database.write() as session:
        return IntakeService(session).import_posts("P", path, person="ada").project_id


def answer(database: Database, project: int, path: Path, **options: Any) -> AnswerReport:
    with database.write() as session:
        return IntakeService(session).import_answers(project, path, person="ada", **options)


def make_set(database: Database, project: int, path: Path, **options: Any) -> SetReport:
    with database.write() as session:
        return IntakeService(session).import_evaluation_set(
            project, path, **({"name": "outside", "person": "ada"} | options)
        )


def agreements(database: Database) -> list[Agreement]:
    with database.read() as session:
        return list(session.scalars(select(Item.agreement).order_by(Item.id)))


def test_answers_are_joined_by_id_or_by_text(database: Database, project: int, tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "a.jsonl",
        [
            {"id": "1", "labels": ["scam"], "analysis": "a fee", "harmful": ["fee"], "model": "m"},
            {"id": None, "text": " Hello  there", "labels": ["Hate"], "analysis": "no", "model": "m"},
            {"id": "3", "text": "Get in", "labels": [], "model": "m"},
            {"id": "9", "labels": [], "model": "m"},
            {"id": "1", "labels": [], "model": "m"},
        ],
    )
    report = answer(database, project, path)
    assert (report.rows, report.added, report.unknown, report.rejected_count) == (5, 2, 1, 3)
    assert report.rejected == (
        Rejected(3, "the post '3' has another text in the project"),
        Rejected(4, "the project has no post '9'"),
        Rejected(5, "the post has an answer by m at an earlier line"),
    )
    assert agreements(database) == [Agreement.AGREES, Agreement.FALSE_ALARM, Agreement.UNANSWERED]
    with database.read() as session:
        run = session.scalars(select(TeacherRun)).one()
        assert (run.origin, run.model, run.wanted, run.recheck) == (TeacherOrigin.IMPORTED, "m", 2, False)
        stored = session.scalars(select(TeacherAnswer).order_by(TeacherAnswer.id)).first()
        assert stored is not None
        assert (stored.labels, stored.analysis, stored.harmful) == (("scam",), "a fee", ("fee",))
        told = session.scalars(select(Event.text).order_by(Event.id.desc())).first()
        assert told == "Imported 2 teacher's answers from a.jsonl."


def test_an_unreadable_answer_is_kept_as_it_came(database: Database, project: int, tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "a.jsonl",
        [
            {"id": "1", "labels": "maybe spam?", "analysis": "hm"},
            {"id": "2", "labels": None, "analysis": "cut off"},
            {"id": "3", "labels": ["hate", "ok"], "analysis": "both"},
        ],
    )
    report = answer(database, project, path, model="m")
    assert (report.added, report.invalid) == (3, 3)
    assert set(agreements(database)) == {Agreement.INVALID}
    with database.read() as session:
        stored = session.scalars(select(TeacherAnswer).order_by(TeacherAnswer.id)).all()
        assert [one.labels for one in stored] == [None, None, None]
        assert stored[0].raw == '{"labels": "maybe spam?", "analysis": "hm"}'
        assert [one.error for one in stored] == [
            "the policy does not know the label 'maybe spam?'",
            "the answer names no label",
            "the labels 'hate', 'ok' say both a violation and none",
        ]
    again = answer(database, project, path, model="m")
    assert (again.unchanged, again.changed) == (3, False)


def test_rechecks_are_a_second_round(database: Database, project: int, tmp_path: Path) -> None:
    first = {"id": "2", "labels": ["hate"], "analysis": "rude", "harmful": ["Hello"], "model": "m"}
    path = write_jsonl(tmp_path / "a.jsonl", [first])
    answer(database, project, path)
    checked = first | {"recheck_labels": [], "recheck_analysis": "a greeting", "recheck_harmful": []}
    more = write_jsonl(tmp_path / "b.jsonl", [checked])
    report = answer(database, project, more)
    assert (report.updated, report.added, report.rechecked) == (1, 0, 1)
    assert not answer(database, project, more).changed
    # The file without the recheck says nothing new either.
    assert not answer(database, project, path).changed
    # The recheck does not make the first answer right.
    assert agreements(database)[1] is Agreement.FALSE_ALARM
    with database.read() as session:
        rounds = session.execute(
            select(TeacherAnswer.run_id, TeacherAnswer.round, TeacherAnswer.labels).order_by(TeacherAnswer.id)
        ).all()
        assert [(row.round, row.labels) for row in rounds] == [(0, ("hate",)), (0, ("hate",)), (1, ())]
        assert session.scalars(select(TeacherRun.recheck).order_by(TeacherRun.id)).all() == [False, True]


def test_two_teachers_and_a_changed_mind(database: Database, project: int, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv", [["id", "labels", "model"], ["1", "scam", "m"], ["1", "ok", "n"], ["2", "ok", ""]]
    )
    report = answer(database, project, path, model="other")
    assert (report.added, report.models) == (3, ("m", "n", "other"))
    changed = write_csv(tmp_path / "b.csv", [["id", "labels", "model"], ["1", "hate", "m"]])
    assert (answer(database, project, changed).updated, agreements(database)[0]) == (
        1,
        Agreement.OTHER_LABELS,
    )


def test_a_file_of_answers_that_fits_nothing_changes_nothing(
    database: Database, project: int, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": "8", "labels": []}, {"id": "9", "labels": []}])
    with pytest.raises(InvalidInputError, match="line 1: the project has no post '8'"):
        answer(database, project, path)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(TeacherRun)) == 0
    with pytest.raises(NotFoundError):
        answer(database, 99, path)


SET = [
    ["id", "text", "label", "kind"],
    ["a", "get  OUT", "hate", "k1"],
    ["b", "Get out", "hate", "k2"],
    ["c", "Good morning", "ok", "k1"],
    ["d", "Something", "", ""],
    ["a", "get  OUT", "hate", "k1"],
    ["a", "other", "hate", "k1"],
]


def test_a_set_is_frozen_and_its_posts_leave_training(
    database: Database, project: int, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "s.csv", SET)
    report = make_set(database, project, path)
    assert (report.rows, report.positive, report.duplicates, report.held_out) == (3, 2, 1, 1)
    assert report.rejected == (
        Rejected(5, "it has no label"),
        Rejected(7, "the id 'a' is taken: line 2 has it with another text"),
    )
    with database.read() as session:
        held_out = session.scalars(select(Item.external_id).where(Item.held_out)).all()
        assert held_out == ["3"]
        stored = session.scalars(select(EvaluationRow).order_by(EvaluationRow.id)).all()
        assert [(row.external_id, row.labels, row.positive, row.meta) for row in stored] == [
            ("a", ("hate",), True, {"kind": "k1"}),
            ("b", ("hate",), True, {"kind": "k2"}),
            ("c", (), False, {"kind": "k1"}),
        ]
        assert [row.item_id is None for row in stored] == [True, False, True]
    more = write_csv(tmp_path / "p.csv", [["id", "text", "label"], ["7", "Good  morning", "ok"]])
    with database.write() as session:
        late = IntakeService(session).import_posts("P", more, person="ada")
    assert (late.added, late.held_out) == (1, 1)


def test_a_set_again_is_nothing_and_changed_labels_are_a_version(
    database: Database, project: int, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "s.csv", SET[:4])
    assert make_set(database, project, path).number == 1
    turned = write_csv(tmp_path / "t.csv", [SET[0], *reversed(SET[1:4])])
    again = make_set(database, project, turned)
    assert (again.number, again.created, again.changed) == (1, False, False)
    changed = [SET[0], ["a", "get  OUT", "ok", "k1"], *SET[2:4]]
    newer = make_set(database, project, write_csv(tmp_path / "u.csv", changed))
    assert (newer.number, newer.created, newer.positive) == (2, True, 1)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(EvaluationRow)) == 6


def test_a_yes_no_set_knows_only_positive(database: Database, project: int, tmp_path: Path) -> None:
    rows = [
        ["id", "text", "label"],
        ["a", "x", "Hateful"],
        ["b", "y", "non-hateful"],
        ["c", "z", "borderline"],
    ]
    path = write_csv(tmp_path / "s.csv", rows)
    with pytest.raises(InvalidInputError, match="rows could be used") as error:
        make_set(database, project, path)
    assert "--positive" in error.value.hint
    with pytest.raises(InvalidInputError, match="No row has the label 'hatefull'"):
        make_set(database, project, path, positive=["hatefull"])
    report = make_set(database, project, path, positive=["hateful", "borderline"])
    assert (report.rows, report.positive, report.positive_labels) == (3, 2, ("hateful", "borderline"))
    with database.read() as session:
        stored = session.scalars(select(EvaluationSet)).one()
        assert (stored.origin, stored.rows, stored.positive_labels) == (
            SetOrigin.IMPORTED,
            3,
            ("hateful", "borderline"),
        )
        rows_ = session.scalars(select(EvaluationRow).order_by(EvaluationRow.id)).all()
        assert [(row.positive, row.labels, row.meta) for row in rows_] == [
            (True, (), {"label": "Hateful"}),
            (False, (), {"label": "non-hateful"}),
            (True, (), {"label": "borderline"}),
        ]


OTHERS = [
    ["id", "text", "label", "functionality"],
    ["a", "x", "Hateful", "slur"],
    ["b", "y", "non-hateful", "slur"],
    ["c", "z", "Offensive", "joke"],
    ["d", "w", "hateful", "joke"],
    ["e", "v", "hateful", "joke"],
]


def rows_of(database: Database, set_id: int) -> dict[str, EvaluationRow]:
    with database.read() as session:
        rows = session.scalars(select(EvaluationRow).where(EvaluationRow.set_id == set_id))
        return {row.external_id: row for row in rows}


def test_a_set_keeps_its_own_labels_and_what_they_stand_for(
    database: Database, project: int, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "s.csv", OTHERS)
    report = make_set(database, project, path, label_map={"Hate": "hateful"}, language="EN-gb")
    assert (report.label_map, report.unmapped) == ({"hate": "hateful"}, ("Offensive",))
    assert (report.none_label, report.none_guessed, report.positive) == ("non-hateful", True, 3)
    assert (report.group_by, report.groups, report.language) == ("functionality", 2, "en-gb")
    rows = rows_of(database, report.set_id)
    assert {post: (row.labels, row.positive) for post, row in rows.items()} == {
        "a": (("hateful",), True),
        "b": ((), False),
        # The policy says nothing of what is only offensive.
        "c": (("Offensive",), False),
        "d": (("hateful",), True),
        "e": (("hateful",), True),
    }
    assert {row.meta["functionality"] for row in rows.values()} == {"slur", "joke"}
    with database.read() as session:
        stored = session.scalars(select(EvaluationSet)).one()
        assert (stored.label_map, stored.group_by, stored.language) == (
            {"hate": "hateful"},
            "functionality",
            "en-gb",
        )


def test_a_label_of_the_policys_own_stands_for_itself(
    database: Database, project: int, tmp_path: Path
) -> None:
    rows = [["id", "text", "label"], ["a", "x", "Scam"], ["b", "y", "rude"], ["c", "z", "ok"]]
    path = write_csv(tmp_path / "s.csv", rows)
    assert make_set(database, project, path, label_map={"hate": "rude"}).label_map == {
        "hate": "rude",
        "scam": "Scam",
    }
    # A category has one label: where it is given another its own name stands for nothing.
    both = make_set(database, project, path, label_map={"hate": "rude", "scam": "rude"})
    assert (both.label_map, both.unmapped) == ({"hate": "rude", "scam": "rude"}, ("Scam",))
    assert (both.number, both.created) == (2, True), "another mapping judges models differently"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label_map": {"hat": "hateful"}}, "The policy has no category 'hat'"),
        ({"label_map": {"hate": "hatefull"}}, "No row has the label 'hatefull'"),
        ({"label_map": {"hate": "hateful"}, "none_label": "Hateful"}, "both no violation and a category"),
        ({"label_map": {}}, "None of the set's labels stands for a category"),
        ({"label_map": {"hate": "hateful"}, "positive": ["hateful"]}, "no labels to map"),
        ({"positive": ["hateful"], "language": "German"}, "'German' is no language's tag"),
    ],
)
def test_what_a_set_cannot_be(
    database: Database, project: int, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    path = write_csv(tmp_path / "s.csv", OTHERS)
    with pytest.raises(InvalidInputError, match=says):
        make_set(database, project, path, **options)


def test_groups_and_language_are_noted_on_a_set_that_is_there(
    database: Database, project: int, tmp_path: Path
) -> None:
    plain = [[*row[:3], row[3]] for row in OTHERS]
    plain[0] = ["id", "text", "label", "test_case"]
    path = write_csv(tmp_path / "s.csv", plain)
    first = make_set(database, project, path, positive=["hateful"])
    assert (first.group_by, first.language) == (None, None)
    mapping = replace(first.mapping, group="test_case")
    again = make_set(database, project, path, positive=["hateful"], mapping=mapping, language="en")
    assert (again.number, again.created, again.updated, again.changed) == (1, False, True, True)
    assert (again.group_by, again.groups, again.language) == ("test_case", 2, "en")
    third = make_set(database, project, path, positive=["hateful"])
    assert (third.changed, third.group_by, third.language) == (False, "test_case", "en")
    # Posts that are grouped otherwise are another version; what it is written in stays.
    plain[1][3] = "joke"
    moved = write_csv(tmp_path / "t.csv", plain)
    newer = make_set(database, project, moved, positive=["hateful"], mapping=mapping)
    assert (newer.number, newer.created, newer.language) == (2, True, "en")


@pytest.mark.parametrize(("values", "groups"), [(1, 0), (2, 2), (60, 60), (61, 0)])
def test_a_column_that_makes_no_groups_is_not_grouped_by(
    database: Database, project: int, tmp_path: Path, values: int, groups: int
) -> None:
    rows = [[str(n), f"post {n}", "hateful" if n % 2 else "fine", f"k{n % values}"] for n in range(120)]
    path = write_csv(tmp_path / "s.csv", [["id", "text", "label", "kind"], *rows])
    guessed = make_set(database, project, path, positive=["hateful"])
    assert (guessed.group_by, guessed.groups) == ("kind" if groups else None, groups)
    assert guessed.not_grouped is None
    said = replace(guessed.mapping, group="kind")
    told = make_set(database, project, path, name="other", positive=["hateful"], mapping=said)
    assert (told.group_by, told.not_grouped) == (("kind", None) if groups else (None, "kind"))


def test_unknown_labels_of_a_set_are_reported(database: Database, project: int, tmp_path: Path) -> None:
    report = make_set(database, project, write_csv(tmp_path / "s.csv", [*SET[:4], ["e", "f", "spam", ""]]))
    assert (report.rows, report.unknown_labels) == (3, {"spam": 1})


@pytest.mark.parametrize("name", ["", "validation", "../up", "a/b", "Test"])
def test_a_sets_name_must_do_as_a_file_name(
    database: Database, project: int, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidInputError, match="cannot be an evaluation set's name"):
        make_set(database, project, write_csv(tmp_path / "s.csv", SET), name=name)


def test_the_projects_own_sets_are_not_imported_over(
    database: Database, project: int, tmp_path: Path
) -> None:
    with database.write() as session:
        version = PolicyService(session).newest(project)
        session.add(
            EvaluationSet(
                project_id=project,
                name="frozen",
                origin=SetOrigin.TEST_SPLIT,
                policy_version_id=version.id,
                hash="0" * 64,
                created_by="ada",
            )
        )
    with pytest.raises(ConflictError, match="own"):
        make_set(database, project, write_csv(tmp_path / "s.csv", SET), name="frozen")


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data with real posts is not here")
@pytest.mark.parametrize(
    ("file", "positive", "rows", "yes", "groups"),
    [
        ("hatecheck.csv", "hateful", 3_728, 2_563, ("functionality", 29)),
        ("xstest.csv", "unsafe", 450, 200, ("type", 18)),
    ],
)
def test_real_sets(
    database: Database,
    project: int,
    file: str,
    positive: str,
    rows: int,
    yes: int,
    groups: tuple[str, int],
) -> None:
    report = make_set(database, project, DATA / file, positive=[positive])
    assert (report.group_by, report.groups) == groups
    assert (report.rows, report.positive, report.rejected_count, report.duplicates) == (rows, yes, 0, 0)
    with database.read() as session:
        meta = session.scalars(select(EvaluationRow.meta).limit(1)).one()
        assert meta.keys() >= {"label"}
        assert len(meta) > 1
