"""A small project with everything in it, and pages opened on it as a browser would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from backend.db.engine import Database
from backend.db.models import EvaluationRow, Item, Judgement, PolicyVersion, Project
from backend.db.models.content import Split
from backend.db.models.evaluation import ModelKind
from backend.evaluation.service import EvaluationService
from backend.items.repository import ItemRepository
from backend.text import text_hash
from tests.backend.build import add_answer, add_item, add_judgement, add_project, add_teacher_run

APP = Path(__file__).resolve().parents[2] / "ui" / "app.py"
HOSTILE = "![seen](https://stranger.example/pixel.png) <img src=x onerror=alert(1)> **now** :red[hi]"
"""A post that would tell a stranger who reads it, if a page took it for markdown or HTML."""

_LABELS: tuple[tuple[str, ...], ...] = ((), ("hate",), ("scam",))


def open_page(name: str) -> AppTest:
    """The page as somebody finds it who comes from Overview."""
    app = AppTest.from_file(APP, default_timeout=60).run()
    return app.switch_page(f"pages/{name}.py").run()


def shown(app: AppTest) -> str:
    """All that a page says, in Streamlit's elements and in its own HTML."""
    kinds = (app.title, app.markdown, app.caption, app.error, app.warning, app.info)
    said = [str(element.value) for kind in kinds for element in kind]
    return "\n".join([*said, *(element.proto.body for element in app.get("html"))])


def read_as_markdown(app: AppTest) -> str:
    """What Streamlit reads as markdown: nobody's words but our own may stand there unescaped."""
    kinds = (app.title, app.markdown, app.caption, app.error, app.warning, app.info, app.button, app.radio)
    return "\n".join(
        str(element.value) + str(element.proto.label if hasattr(element.proto, "label") else "")
        for kind in kinds
        for element in kind
    )


def press(app: AppTest, label: str) -> AppTest:
    """Press the first button with this label."""
    return next(button for button in app.button if button.label == label).click().run()


def seed(database: Database, *, posts: int = 30, answered: bool = True) -> Project:
    """A project of posts in three kinds and three splits; of every fifth the teacher is wrong."""
    with database.write() as session:
        project, policy = add_project(session)
        run = add_teacher_run(session, project, policy)
        items = [_post(session, project, policy, number) for number in range(posts)]
        for number, item in enumerate(items):
            if answered:
                said = _LABELS[(number + (number % 5 == 0)) % 3]
                add_answer(session, run, item, said, analysis=f"Because of {number}.", harmful=("post",))
        ItemRepository(session).refresh(item.id for item in items)
    return project


def _post(session: Session, project: Project, policy: PolicyVersion, number: int) -> Item:
    # What follows the number is another text each time: near-duplicates of test posts are not taught.
    text = (
        HOSTILE
        if number == 0
        else f"This is post number {number}, and it says {text_hash(str(number))[:32]}."
    )
    split = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST, Split.TEST)[number % 5]
    item = add_item(session, project, text, split=split)
    add_judgement(session, policy, item, _LABELS[number % 3])
    return item


def evaluate(
    database: Database,
    project: Project,
    policy: PolicyVersion,
    *,
    kind: ModelKind,
    right: float,
    **of: object,
) -> int:
    """Store what a model said of the test posts; `right` is its score where it should be high."""
    with database.write() as session:
        service = EvaluationService(session)
        frozen = service.freeze_test_split(project.id, "tester")
        evaluation = service.ingest(
            frozen.id,
            model_kind=kind,
            policy_version_id=policy.id,
            prompt_hash=None,
            validation=_scores(*_validation(session, project), right),
            predictions=_scores(*_frozen(session, frozen.id), right),
            person="tester",
            **({"model": "a model"} | of),  # type: ignore[arg-type]
        )
        return evaluation.id


def _validation(session: Session, project: Project) -> tuple[list[int], list[tuple[str, ...]]]:
    rows = session.execute(
        select(Item.id, Judgement.labels)
        .join(Judgement, Item.decision_id == Judgement.id)
        .where(Item.project_id == project.id, Item.split == Split.VALIDATION)
    ).all()
    return [row.id for row in rows], [row.labels for row in rows]


def _frozen(session: Session, set_id: int) -> tuple[list[int], list[tuple[str, ...]]]:
    rows = session.execute(
        select(EvaluationRow.id, EvaluationRow.labels).where(EvaluationRow.set_id == set_id)
    ).all()
    return [row.id for row in rows], [row.labels for row in rows]


def _scores(ids: Sequence[int], labels: Sequence[tuple[str, ...]], right: float) -> pd.DataFrame:
    """Scores that are `right` where the category stands and the rest elsewhere, a little apart."""
    frame = pd.DataFrame({"id": list(ids)})
    for code in ("hate", "scam"):
        frame[f"p_{code}"] = [
            round((right if code in these else 1 - right) * (0.9 + 0.1 * (position % 3) / 3), 4)
            for position, these in enumerate(labels)
        ]
    return frame
