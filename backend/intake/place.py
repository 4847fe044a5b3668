"""Where a file goes: the project, its policy, and what the file's labels mean there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.db.models import PolicyVersion, Project
from backend.intake.labels import Vocabulary, categories_of
from backend.intake.scan import NoneLabel, Scan, choose_none, first_categories
from backend.policies.service import PolicyService
from backend.projects.service import ProjectService


@dataclass(frozen=True, slots=True)
class Place:
    """A project that is ready to take a file's rows."""

    project: Project
    version: PolicyVersion
    vocabulary: Vocabulary
    none: NoneLabel
    created: bool = False
    new_categories: tuple[str, ...] = ()


class Places:
    """Finds the place for a file, or makes it."""

    def __init__(self, session: Session) -> None:
        self._projects = ProjectService(session)
        self._policies = PolicyService(session)

    def find_or_make(
        self, project: str, found: Scan, none_label: str | None, *, add_categories: bool, person: str
    ) -> Place:
        """The project of this name or number; a new one with a policy drawn from the labels.

        Args:
            add_categories: make a new policy version for labels that the policy does not know.

        Raises:
            InvalidInputError: a new project's file has no labels to draw a policy from.
        """
        known = self._projects.find(project)
        if known is None:
            return self._make(project, found, none_label, person)
        place = self.find(known, found, none_label)
        new = [label for label in found.found if not place.vocabulary.knows(label)]
        if not add_categories or not new:
            return place
        categories = categories_of(new, none_label=place.none.label)
        version = self._policies.create_version(
            known.id,
            [*place.vocabulary.policy.categories, *categories],
            note="Categories from imported labels.",
            person=person,
        )
        return self._place(known, version, place.none, tuple(category.code for category in categories))

    def find(self, project: Project, found: Scan, none_label: str | None) -> Place:
        """An existing project as it is; a first "no violation" label is kept with it."""
        version = self._policies.newest(project.id)
        none = self._none(project, version, found.found, none_label)
        if project.none_label is None:
            project.none_label = none.label
        return self._place(project, version, none)

    def unknown(self, project: Project, labels: Collection[str], none_label: str | None) -> tuple[str, ...]:
        """The labels that `find` would not know."""
        version = self._policies.newest(project.id)
        none = self._none(project, version, labels, none_label)
        vocabulary = Vocabulary.of(self._policies.training_policy(version), none.label)
        return tuple(label for label in labels if not vocabulary.knows(label))

    def _none(
        self, project: Project, version: PolicyVersion, labels: Iterable[str], none_label: str | None
    ) -> NoneLabel:
        known = Vocabulary.of(self._policies.training_policy(version), project.none_label)
        return choose_none(none_label, project.none_label, labels, known=known)

    def _make(self, name: str, found: Scan, none_label: str | None, person: str) -> Place:
        none = choose_none(none_label, None, found.found, known=None)
        categories = first_categories(found, none)
        project = self._projects.create(name, categories=categories, none_label=none.label, person=person)
        codes = tuple(category.code for category in categories)
        return self._place(project, self._policies.newest(project.id), none, codes, created=True)

    def _place(
        self,
        project: Project,
        version: PolicyVersion,
        none: NoneLabel,
        new_categories: tuple[str, ...] = (),
        *,
        created: bool = False,
    ) -> Place:
        vocabulary = Vocabulary.of(self._policies.training_policy(version), none.label)
        return Place(project, version, vocabulary, none, created, new_categories)
