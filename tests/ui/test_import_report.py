from __future__ import annotations

from dataclasses import replace

import pytest

from backend.db.models.content import Split
from backend.intake.columns import ColumnMapping
from backend.intake.reports import AnswerReport, ImportReport, SetReport
from ui.components.import_report import sentences

MAPPING = ColumnMapping(text="text")


def posts(**counts: object) -> ImportReport:
    values = {"project_created": False, "rows": 10} | counts
    return ImportReport(
        project_id=1,
        project="Posts",
        file_name="posts.csv",
        format="csv",
        encoding="utf-8",
        mapping=MAPPING,
        policy_version=1,
        **values,  # type: ignore[arg-type]
    )


def test_what_came_in_is_said_first() -> None:
    said = sentences(
        posts(
            added=8,
            updated=1,
            duplicates=1,
            splits={Split.TRAIN: 6, Split.TEST: 2},
            project_created=True,
            none_label="safe",
            none_guessed=True,
        )
    )
    assert said == [
        "8 posts added, 1 updated. 6 to train on, 2 to test.",
        "The project Posts was made, with a first policy drawn from the labels.",
        "The label “safe” means no violation, as its name suggests.",
        "1 says the same as another post and became one with it.",
    ]


def test_nothing_new_is_said_in_one_sentence() -> None:
    assert sentences(posts(unchanged=10)) == ["Nothing new: all 10 rows are here already."]
    assert sentences(posts(rows=1, unchanged=1)) == ["Nothing new: the one row is here already."]


def test_labels_that_the_policy_does_not_know_are_named() -> None:
    said = sentences(posts(added=1, unknown_labels={"spam": 3, "rude": 1200}))
    assert "spam (3), rude (1,200)" in said[-1]


def test_answers_and_what_cannot_be_joined() -> None:
    said = sentences(AnswerReport(project_id=1, rows=5, added=3, invalid=1, rechecked=2, unknown=2))
    assert said == [
        "3 answers of the teacher added, 2 with a recheck, 1 that cannot be read.",
        "2 belong to posts that the project does not have.",
    ]


def test_a_set_says_how_many_posts_leave_training() -> None:
    said = sentences(
        SetReport(
            project_id=1,
            set_id=1,
            name="checks",
            number=2,
            created=True,
            mapping=MAPPING,
            rows=12,
            rejected_count=2,
            positive=4,
            held_out=3,
        )
    )
    assert said == [
        "The set checks (version 2) has 12 posts, 4 of them violations.",
        "3 of the project's posts stand in it and are kept out of training.",
    ]


@pytest.mark.parametrize(
    ("positive", "says"),
    [
        (0, ["No post of the set breaks a rule, so it can show false alarms only."]),
        (1, []),
        (3, ["Every post of the set breaks a rule, so it cannot show false alarms."]),
    ],
)
def test_a_set_of_one_kind_of_posts_says_what_it_cannot_show(positive: int, says: list[str]) -> None:
    of = {"project_id": 1, "set_id": 1, "name": "checks", "number": 1, "created": True, "mapping": MAPPING}
    assert sentences(SetReport(**of, rows=3, positive=positive))[1:] == says


def test_a_set_says_what_its_labels_stand_for_and_how_it_is_grouped() -> None:
    of_a_set = SetReport(
        project_id=1,
        set_id=1,
        name="checks",
        number=1,
        created=True,
        mapping=MAPPING,
        rows=3,
        positive=1,
        label_map={"threats": "hateful", "insults": "hateful", "spam": "advert"},
        unmapped=("rude",),
        group_by="functionality",
        groups=29,
    )
    assert sentences(of_a_set)[1:] == [
        "“hateful” stands for threats, insults; “advert” stands for spam.",
        "No model is judged on rude: it stands for no category.",
        "Figures are also given by functionality, in 29 groups.",
    ]
    noted = replace(of_a_set, created=False, updated=True, group_by=None, not_grouped="id")
    assert sentences(noted)[0] == "The set checks holds these posts already; what is known of it was noted."
    assert sentences(noted)[-1] == "Figures are not given by id: it has one value, or far too many."
