"""Sets from elsewhere on the Evaluation page."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import EvaluationRow, EvaluationSet, Project
from backend.db.models.evaluation import ModelKind, SetOrigin
from backend.evaluation.service import EvaluationService
from backend.policies.service import PolicyService
from backend.text import text_hash
from tests.backend.evaluation.build import frame
from tests.ui.scene import open_page, press, seed, shown

POSTS = [
    ("You are all the same.", True, "slur"),
    ("They said *you* are all the same.", False, "*quote*"),
    ("Nobody is all the same.", False, "*quote*"),
]


def score(session: Session, of: EvaluationSet, rows: Sequence[EvaluationRow], hate: Sequence[float]) -> None:
    """Evaluate the base model on a set; it gives its posts these probabilities of hate."""
    codes = ("hate", "scam")
    EvaluationService(session).ingest(
        of.id,
        model_kind=ModelKind.BASE,
        model="default",
        policy_version_id=of.policy_version_id,
        prompt_hash=None,
        validation=frame({}, codes),
        predictions=frame({row.id: (given, 0.1) for row, given in zip(rows, hate, strict=True)}, codes),
        person="tester",
    )


@pytest.fixture
def project(sqlite_database: Database) -> Project:
    """The base model is evaluated on a yes/no set: it flags the first two of the posts."""
    project = seed(sqlite_database)
    with sqlite_database.write() as session:
        policy = PolicyService(session).newest(project.id)
        found = EvaluationSet(
            project_id=project.id,
            name="checks",
            origin=SetOrigin.IMPORTED,
            policy_version_id=policy.id,
            positive_labels=("bad",),
            group_by="*kind*",
            language="de",
            rows=len(POSTS),
            hash="",
            created_by="tester",
        )
        session.add(found)
        session.flush()
        rows = [
            EvaluationRow(
                set_id=found.id,
                external_id=str(number),
                text=text,
                text_hash=text_hash(text),
                positive=positive,
                meta={"*kind*": kind},
            )
            for number, (text, positive, kind) in enumerate(POSTS)
        ]
        session.add_all(rows)
        session.flush()
        score(session, found, rows, (0.9, 0.8, 0.1))
    return project


def test_a_set_says_what_it_is_and_how_much_is_flagged(sqlite_database: Database, project: Project) -> None:
    app = open_page("evaluation")
    assert not app.exception
    said = shown(app)
    assert "Version 1 · 3 posts · language de" in said
    assert "Only 3 posts: what is 50% of them may be anything from 13% to 87% of others" in said
    assert "The base model flags 50% (9 to 91) of 2 harmless posts and finds 100%" in said
    [by_kind] = [one for one in app.expander if "kind" in one.label]
    assert by_kind.label == "By \\*kind\\*"
    table = "\n".join(element.proto.body for element in by_kind.get("html"))
    assert table.index("*quote*") < table.index("slur"), "the worst first"
    assert "1 of 2" in table


def test_a_set_with_labels_of_its_own_says_what_they_stand_for(
    sqlite_database: Database, project: Project
) -> None:
    with sqlite_database.write() as session:
        [found] = [one for one in EvaluationService(session).sets(project.id) if one.name == "checks"]
        found.positive_labels, found.label_map = None, {"hate": "h_ful", "scam": "h_ful"}
    assert "“h\\_ful” stands for hate\\, scam" in shown(open_page("evaluation"))


@pytest.mark.parametrize(
    ("kind", "told", "flagged"),
    [
        (False, "so there is nothing to find and no F1", "flags 67% (21 to 94) of 3 harmless posts"),
        (True, "here every post is a violation", "finds 67% (21 to 94) of 3 violations"),
    ],
)
def test_a_set_of_one_kind_says_what_cannot_be_had(
    sqlite_database: Database, project: Project, kind: bool, told: str, flagged: str
) -> None:
    with sqlite_database.write() as session:
        [found] = [one for one in EvaluationService(session).sets(project.id) if one.name == "checks"]
        # Sets with the policy's categories have this, too, not only those that know yes and no.
        found.positive_labels = None
        rows = session.scalars(select(EvaluationRow).where(EvaluationRow.set_id == found.id)).all()
        for row in rows:
            row.positive, row.labels = kind, ("hate",) if kind else ()
        session.flush()
        score(session, found, rows, (0.9, 0.8, 0.1))
    app = open_page("evaluation")
    assert not app.exception
    said = shown(app)
    assert told in said and f"The base model {flagged}." in said
    assert "gives no probabilities" not in said


def test_a_robustness_set_is_made_and_says_what_it_costs(sqlite_database: Database, project: Project) -> None:
    app = open_page("evaluation")
    press(app, "Make a robustness set")
    assert not app.exception and not app.error
    assert not any(button.label == "Make a robustness set" for button in app.button), "there is one now"
    with sqlite_database.write() as session:
        by_name = {one.name: one for one in EvaluationService(session).sets(project.id)}
        made = by_name["checks, disguised"]
        rows = session.scalars(select(EvaluationRow).where(EvaluationRow.set_id == made.id)).all()
        score(session, made, rows, [0.1] * len(rows))
    app = open_page("evaluation")
    app.session_state["evaluation-set"] = "checks\\, disguised"
    app.run()
    assert not app.exception
    said = shown(app)
    assert "What disguises cost" in said
    # As written one of two flagged posts is a violation, disguised none is flagged.
    assert "Disguised posts cost it" in said
    assert "F1 as written" in said and "Look-alikes" in said
    assert "Version 1 · 3 posts of checks, version 1 · language de" in said
    assert "By disguise" in {one.label for one in app.expander}
    press(app, "Evaluate a model")
    assert app.multiselect(key="evaluate-sets").value == [made.id], "the set whose tab is open"


def test_a_newer_version_that_nothing_is_evaluated_on_is_not_kept_quiet(
    sqlite_database: Database, project: Project
) -> None:
    assert "newer version" not in shown(open_page("evaluation"))
    with sqlite_database.write() as session:
        policy = PolicyService(session).newest(project.id)
        session.add(
            EvaluationSet(
                project_id=project.id,
                name="checks",
                number=2,
                origin=SetOrigin.IMPORTED,
                policy_version_id=policy.id,
                positive_labels=("bad",),
                rows=0,
                hash="other labels",
                created_by="tester",
            )
        )
    app = open_page("evaluation")
    said = shown(app)
    assert "Version 1 · 3 posts" in said
    assert "a newer version, on which no model is evaluated yet: 1 model can be scored on it" in said
    app = press(app, "Score it again")
    assert not app.exception
    said = shown(app)
    assert "Score base model on checks" in said
    assert "newer version" not in said, "it is on its way"
