"""Answers that a teacher gave elsewhere, and evaluation sets, on both databases."""

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
    ("file", "positive", "rows", "yes"),
    [("hatecheck.csv", "hateful", 3_728, 2_563), ("xstest.csv", "unsafe", 450, 200)],
)
def test_real_sets(database: Database, project: int, file: str, positive: str, rows: int, yes: int) -> None:
    report = make_set(database, project, DATA / file, positive=[positive])
    assert (report.rows, report.positive, report.rejected_count, report.duplicates) == (rows, yes, 0, 0)
    with database.read() as session:
        meta = session.scalars(select(EvaluationRow.meta).limit(1)).one()
        assert meta.keys() >= {"label"}
        assert len(meta) > 1
