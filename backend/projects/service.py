"""What can be done with projects."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from backend import events
from backend.db.models import Project
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.policies.service import PolicyService
from backend.projects.repository import ProjectRepository
from training.policy import Category

_LONGEST_NAME = 200
# SQLite's and PostgreSQL's largest row number; a longer string of digits can only be a name.
_LARGEST_ID = 2**63 - 1


class ProjectService:
    """Projects by name or number."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._projects = ProjectRepository(session)

    def list(self) -> list[Project]:
        """Every project, by name."""
        return self._projects.all()

    def find(self, name_or_id: str | int) -> Project | None:
        """A project by its name or, where no project has that name, by its number."""
        project = None
        if isinstance(name_or_id, str):
            project = self._projects.by_name(name_or_id.strip())
            if project is not None or not name_or_id.strip().isdecimal():
                return project
        number = int(name_or_id)
        return self._projects.by_id(number) if 0 < number <= _LARGEST_ID else None

    def get(self, name_or_id: str | int) -> Project:
        """A project by its name or number.

        Raises:
            NotFoundError: there is none; the hint names those that there are.
        """
        project = self.find(name_or_id)
        if project is None:
            raise NotFoundError(f"There is no project {name_or_id!r}.", self._known())
        return project

    def only(self) -> Project:
        """The project, where there is only one: commands then need no name.

        Raises:
            NotFoundError: there is no project yet.
            InvalidInputError: there are several; the hint names them.
        """
        projects = self._projects.all()
        if not projects:
            raise NotFoundError("There is no project yet.", self._known())
        if len(projects) > 1:
            raise InvalidInputError("There are several projects: say which.", self._known())
        return projects[0]

    def create(
        self, name: str, *, categories: Sequence[Category], none_label: str | None, person: str
    ) -> Project:
        """Make a project with the first version of its policy.

        Raises:
            ConflictError: the name is taken.
            InvalidInputError: the name or the categories cannot be used.
        """
        name = " ".join(name.split())
        if not name or len(name) > _LONGEST_NAME:
            raise InvalidInputError(
                "A project's name has between 1 and 200 characters.", "Choose another name."
            )
        if self._projects.by_name(name) is not None:
            raise ConflictError(f"There is a project {name!r} already.", "Choose another name.")
        project = self._projects.add(name, none_label=none_label, person=person)
        PolicyService(self._session).create_version(
            project.id, categories, note="The first version.", person=person
        )
        events.record(self._session, project.id, person, f"Made the project {name}.")
        return project

    def set_blur(self, project_id: int, blur: bool) -> None:
        """Say whether posts are covered on the pages until someone uncovers them."""
        self.get(project_id).blur = blur

    def _known(self) -> str:
        names = [project.name for project in self._projects.all()]
        if not names:
            return "Import posts to make one: overrule import FILE --project NAME."
        return f"Projects: {', '.join(names[:20])}."
