"""A small project in which every kind of item occurs."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models.content import Split
from backend.db.models.review import Source, Verdict
from backend.items.repository import ItemRepository
from tests.backend.build import add_answer, add_item, add_judgement, add_project, add_teacher_run

Labels = tuple[str, ...] | None


@dataclass(frozen=True)
class Post:
    """`recheck` and `gold` are "-" where there is none."""

    name: str
    answer: Labels | str = "-"
    gold: Labels | str = "-"
    recheck: Labels | str = "-"
    verdict: Verdict | None = None
    labels: Labels = None
    reason: str | None = None
    split: Split = Split.TRAIN
    held_out: bool = False


POSTS = (
    Post("right", ("scam",), ("scam",)),
    Post("right hate", ("hate",), ("hate",)),
    Post("right none", (), ()),
    Post("wrong", ("scam",), ()),
    Post("mended", ("scam",), ("hate",), ("hate",)),
    Post("wrong again", ("scam",), (), ("hate",)),
    Post("corrected", ("scam",), "-", "-", Verdict.WRONG_LABELS, ("hate",), "person's reason"),
    Post("bad reason", ("scam",), "-", "-", Verdict.BAD_REASON, ("scam",), "better reason"),
    Post("undecided", ("scam",)),
    Post("cannot tell", ("scam",), ("scam",), "-", Verdict.CANNOT_TELL),
    Post("gold only", "-", ("hate",)),
    Post("from scratch", "-", "-", "-", Verdict.FROM_SCRATCH, ("hate", "scam")),
    Post("unreadable", None, ("scam",)),
    Post("validation", ("scam",), ("scam",), split=Split.VALIDATION),
    Post("test", ("scam",), ("scam",), split=Split.TEST),
    Post("held out", ("scam",), ("scam",), held_out=True),
)


def add_posts(
    session: Session, *, name: str = "Posts", posts: tuple[Post, ...] = POSTS
) -> tuple[int, dict[str, int]]:
    """Store the posts; gives the project's id and each item's by name."""
    project, policy = add_project(session, name=name)
    run = add_teacher_run(session, project, policy)
    ids = {}
    for post in posts:
        item = add_item(session, project, f"the post {post.name}", split=post.split)
        item.held_out, item.source = post.held_out, "sms" if "right" in post.name else "mail"
        if post.answer != "-":
            add_answer(session, run, item, post.answer, analysis=f"why {post.name}", harmful=("post",))
        if post.recheck != "-":
            add_answer(session, run, item, post.recheck, round=1, analysis=f"again {post.name}")
        if post.gold != "-":
            add_judgement(session, policy, item, post.gold)
        if post.verdict is not None:
            add_judgement(
                session,
                policy,
                item,
                post.labels,
                source=Source.REVIEW,
                verdict=post.verdict,
                person="ada",
                reason=post.reason,
            )
        ids[post.name] = item.id
    ItemRepository(session).refresh(ids.values())
    return project.id, ids


def fill(database: Database) -> tuple[int, dict[str, int]]:
    with database.write() as session:
        return add_posts(session)
