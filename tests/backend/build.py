"""Small real rows for repository tests."""

from sqlalchemy.orm import Session

from backend.db.models import Category, Item, Judgement, PolicyVersion, Project, TeacherAnswer, TeacherRun
from backend.db.models.content import Split
from backend.db.models.review import Source, Verdict
from backend.db.models.teacher import TeacherOrigin
from backend.text import text_hash


def add_project(
    session: Session, *, name: str = "Posts", codes: tuple[str, ...] = ("hate", "scam")
) -> tuple[Project, PolicyVersion]:
    project = Project(name=name, created_by="tester")
    session.add(project)
    session.flush()
    policy = PolicyVersion(
        project_id=project.id,
        number=1,
        created_by="tester",
        categories=[
            Category(
                position=position,
                code=code,
                name=code.replace("_", " ").capitalize(),
                definition=f"is {code}.",
            )
            for position, code in enumerate(codes)
        ],
    )
    session.add(policy)
    session.flush()
    return project, policy


def add_item(session: Session, project: Project, text: str, *, split: Split = Split.TRAIN) -> Item:
    item = Item(
        project_id=project.id,
        external_id=text_hash(text)[:8],
        text=text,
        text_hash=text_hash(text),
        split=split,
    )
    session.add(item)
    session.flush()
    return item


def add_teacher_run(session: Session, project: Project, policy: PolicyVersion) -> TeacherRun:
    run = TeacherRun(
        project_id=project.id,
        policy_version_id=policy.id,
        origin=TeacherOrigin.IMPORTED,
        model="teacher-1",
        created_by="tester",
    )
    session.add(run)
    session.flush()
    return run


def add_answer(
    session: Session,
    run: TeacherRun,
    item: Item,
    labels: tuple[str, ...] | None,
    *,
    round: int = 0,
    analysis: str = "",
    harmful: tuple[str, ...] = (),
) -> TeacherAnswer:
    answer = TeacherAnswer(
        run_id=run.id, item_id=item.id, round=round, labels=labels, analysis=analysis, harmful=harmful
    )
    session.add(answer)
    session.flush()
    return answer


def add_judgement(
    session: Session,
    policy: PolicyVersion,
    item: Item,
    labels: tuple[str, ...] | None,
    *,
    source: Source = Source.GOLD,
    verdict: Verdict | None = None,
    person: str = "import",
    reason: str | None = None,
    harmful: tuple[str, ...] = (),
) -> Judgement:
    judgement = Judgement(
        item_id=item.id,
        policy_version_id=policy.id,
        source=source,
        person=person,
        verdict=verdict,
        labels=labels,
        reason=reason,
        harmful=harmful,
    )
    session.add(judgement)
    session.flush()
    return judgement
