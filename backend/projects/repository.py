"""The projects' SQL."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.models import Project


class ProjectRepository:
    """Reads and writes projects."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> list[Project]:
        """Every project, by name."""
        return list(self._session.scalars(select(Project).order_by(Project.name)))

    def by_id(self, project_id: int) -> Project | None:
        """One project by its number."""
        return self._session.get(Project, project_id)

    def by_name(self, name: str) -> Project | None:
        """One project by its name."""
        return self._session.scalars(select(Project).where(Project.name == name)).one_or_none()

    def add(self, name: str, *, none_label: str | None, person: str) -> Project:
        """A new project, with its number."""
        project = Project(name=name, none_label=none_label, created_by=person)
        self._session.add(project)
        self._session.flush()
        return project
