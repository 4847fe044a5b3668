"""A small project that can be trained on: decided posts in three splits, and a dataset version."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from backend.curation.service import CurationService
from backend.db.models import DatasetVersion, Item, PolicyVersion, Project
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.items.repository import ItemRepository
from backend.text import text_hash
from tests.backend.build import add_answer, add_item, add_judgement, add_project, add_teacher_run
from training.adapter import BaseModelCard, Card
from training.job import Job as TrainerJob
from training.prompt import Form

POSTS = {
    "Free money now! Click here": ("scam",),
    "Those people should go back": ("hate",),
    "What a lovely day in the garden": (),
}
COUNTS = {Split.TRAIN: 12, Split.VALIDATION: 6, Split.TEST: 6}


def add_decided_project(
    session: Session, name: str = "Posts", *, wrong: int = 0
) -> tuple[Project, PolicyVersion]:
    """Posts with gold labels and a teacher that agrees with all but the first `wrong` of each split."""
    project, policy = add_project(session, name=name, codes=("hate", "scam"))
    teacher = add_teacher_run(session, project, policy)
    texts = list(POSTS.items())
    for split, count in COUNTS.items():
        for index in range(count):
            text, labels = texts[index % len(texts)]
            item = add_item(
                session,
                project,
                f"{text} {split.value} {index} {text_hash(f'{split.value} {index}')[:12]}",
                split=split,
            )
            add_judgement(session, policy, item, labels)
            said = labels if index >= wrong else () if labels else ("scam",)
            add_answer(session, teacher, item, said, analysis="The post says so.")
    refresh(session, project)
    return project, policy


def write_card(folder: Path, *forms: Form) -> None:
    """Leave the card of an adapter that was taught these forms, and answers in the first."""
    job = TrainerJob.read(folder)
    card = Card(
        prompt_hash="h",
        policy=job.policy,
        policy_hash="h",
        base_model=BaseModelCard(name="default", config_hash="h"),
        forms=forms,
        form=forms[0],
        max_labels=2,
        max_length=512,
        config=job.config,
        step=1,
    )
    (folder / "adapter").mkdir(exist_ok=True)
    card.write(folder / "adapter")


def refresh(session: Session, project: Project) -> None:
    ids = [item.id for item in session.query(Item).filter(Item.project_id == project.id)]
    ItemRepository(session).refresh(ids)


def add_version(session: Session, project: Project) -> DatasetVersion:
    return CurationService(session).build(project.id, Handling.REVIEW, person="tester").version
