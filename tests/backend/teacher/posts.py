"""A project with posts for teacher tests: what people decided stands in the post's first word."""

from __future__ import annotations

from sqlalchemy import select

from backend.db.engine import Database
from backend.db.models import Item, Job
from backend.db.models.jobs import JobState
from backend.items.repository import ItemRepository
from backend.settings import Settings
from backend.teacher.results import TeacherOverrides, TeachPayload, TeachResult
from backend.teacher.run import teach
from backend.teacher.service import TeacherService
from tests.backend.build import add_item, add_judgement, add_project


def add_posts(database: Database, *texts: str, name: str = "Posts") -> int:
    """Posts such as "scam: pay me", "none: hello", or "? nobody judged this"; gives the project's id."""
    return add_labelled(database, {text: text.split(":")[0] for text in texts}, name=name)


def add_labelled(database: Database, posts: dict[str, str], *, name: str = "Posts") -> int:
    """Posts with what people decided: a category, "none", or anything else for nothing."""
    with database.write() as session:
        project, policy = add_project(session, name=name)
        ids = []
        for text, label in posts.items():
            item = add_item(session, project, text)
            ids.append(item.id)
            if label in ("scam", "hate", "none"):
                add_judgement(session, policy, item, () if label == "none" else (label,))
        ItemRepository(session).refresh(ids)
        return project.id


def start(
    database: Database,
    settings: Settings,
    project_id: int,
    *,
    recheck: bool = True,
    limit: int | None = None,
    ask_invalid: bool = False,
) -> int:
    """A job of this process; gives its id."""
    payload = TeachPayload(
        recheck=recheck, limit=limit, ask_invalid=ask_invalid, overrides=TeacherOverrides()
    )
    with database.write() as session:
        return TeacherService(session, settings).start_here(project_id, payload, person="tester").id


def run(database: Database, settings: Settings, job_id: int) -> TeachResult:
    """Carry the job out, undisturbed."""
    return teach(database, job_id, settings, should_stop=lambda: False, on_progress=lambda done, total: None)


def end(database: Database, job_id: int) -> None:
    """Write down that the job is over, as whoever carries it out does."""
    with database.write() as session:
        session.get_one(Job, job_id).state = JobState.SUCCEEDED


def item_of(database: Database, project_id: int, text: str) -> Item:
    """The item as it stands now."""
    with database.read() as session:
        return session.scalars(select(Item).where(Item.project_id == project_id, Item.text == text)).one()
