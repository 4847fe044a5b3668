"""The sample project: posts, policy and teacher's answers that were written for Overrule."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from backend.db.models import Project
from backend.intake.service import IntakeService
from backend.policies.service import PolicyService
from backend.projects.service import ProjectService
from training.policy import NONE_NAME

NAME = "Sample"
FOLDER = Path(__file__).resolve().parents[1] / "sample"


def load_sample(session: Session, person: str) -> Project:
    """The sample project, made through the importers that people use; as it is where it exists."""
    projects = ProjectService(session)
    if (known := projects.find(NAME)) is not None:
        return known
    rules = (FOLDER / "policy.yaml").read_text("utf-8")
    categories = PolicyService(session).categories_from_yaml(rules)
    project = projects.create(NAME, categories=categories, none_label=NONE_NAME, person=person)
    intake = IntakeService(session)
    intake.import_posts(NAME, FOLDER / "posts.csv", person=person)
    intake.import_answers(project.id, FOLDER / "answers.jsonl", person=person)
    return project
