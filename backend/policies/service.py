"""What can be done with policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from backend import events
from backend.db.models import PolicyVersion
from backend.errors import InvalidInputError, NotFoundError
from backend.items.repository import ItemRepository
from backend.policies import yaml
from backend.policies.fates import Carried, carry_over
from backend.policies.repository import PolicyRepository
from training.policy import Category, Policy


@dataclass(frozen=True, slots=True)
class CategoryCount:
    """How often a category occurs.

    Args:
        decided: items that people gave it.
        teacher_named: items whose teacher's answer names it.
        disagree: items of which only one of the two says it, where both are known.
    """

    decided: int = 0
    teacher_named: int = 0
    disagree: int = 0


class ChangeKind(StrEnum):
    """What a new version did to a category."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class CategoryChange:
    """One difference of two versions; `fields` says which wording of a changed one differs."""

    code: str
    kind: ChangeKind
    before: Category | None
    after: Category | None
    fields: tuple[str, ...] = ()


class PolicyService:
    """Policy versions: read, made anew, never changed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._policies = PolicyRepository(session)

    def newest(self, project_id: int) -> PolicyVersion:
        """The version that counts now, with its categories."""
        version = self._policies.newest(project_id)
        if version is None:
            raise NotFoundError(
                f"There is no policy for project {project_id}.", "Import one: overrule policy import."
            )
        return version

    def versions(self, project_id: int) -> list[PolicyVersion]:
        """All versions with their categories, newest first."""
        return self._policies.versions(project_id)

    def get(self, version_id: int) -> PolicyVersion:
        """One version with its categories."""
        version = self._policies.get(version_id)
        if version is None:
            raise NotFoundError(f"There is no policy version {version_id}.", "Choose one of the project's.")
        return version

    def training_policy(self, version: PolicyVersion) -> Policy:
        """The version as prompts, trainer and evaluation know it."""
        return Policy(version=version.number, categories=tuple(_categories(version)))

    def create_version(
        self,
        project_id: int,
        categories: Sequence[Category],
        *,
        note: str = "",
        person: str,
        fates: Mapping[str, str | None] | None = None,
    ) -> PolicyVersion:
        """Make the next version; the same categories again give back the newest one.

        Args:
            fates: for each category that the new version no longer has, the code that takes
                its place in what people decided, or None where they are to judge again.

        Raises:
            InvalidInputError: the categories make no policy, or a removed one has no fate.
        """
        yaml.check(list(categories))
        newest = self._policies.newest(project_id)
        if newest is not None and _categories(newest) == list(categories):
            return newest
        fates = dict(fates or {})
        _check_fates(newest, categories, fates)
        number = newest.number + 1 if newest else 1
        version = self._policies.add(project_id, number, categories, note=note, person=person)
        if newest is not None:
            self._carry_over(project_id, version, fates, person)
            events.record(self._session, project_id, person, f"Changed the policy: version {number}.")
        return version

    def counts(self, project_id: int) -> dict[str, CategoryCount]:
        """How often each category of the newest version occurs, in the policy's order."""
        decided = self._policies.decided(project_id)
        pairs = self._policies.answered(project_id)
        codes = [category.code for category in self.newest(project_id).categories]
        return {
            code: CategoryCount(
                decided=decided.get(code, 0),
                teacher_named=sum(n for teacher, _, n in pairs if code in (teacher or ())),
                disagree=sum(
                    n
                    for teacher, people, n in pairs
                    if teacher is not None and people is not None and (code in teacher) != (code in people)
                ),
            )
            for code in codes
        }

    def to_yaml(self, version: PolicyVersion) -> str:
        """The version as a YAML file."""
        return yaml.to_yaml(self.training_policy(version))

    def categories_from_yaml(self, text: str) -> list[Category]:
        """The categories of a YAML file; InvalidInputError names the line and what is wrong."""
        return yaml.categories_from_yaml(text)

    def diff(self, old: PolicyVersion, new: PolicyVersion) -> list[CategoryChange]:
        """What changed between two versions, in the new one's order, what was removed last."""
        return compare(_categories(old), _categories(new))

    def _carry_over(
        self, project_id: int, version: PolicyVersion, fates: Mapping[str, str | None], person: str
    ) -> None:
        if not fates:
            return
        carried: list[Carried] = []
        touched: list[int] = []
        again: list[int] = []
        for chunk in self._policies.naming(project_id, sorted(fates)):
            for item_id, judgements in chunk.items():
                fate = carry_over(judgements, fates)
                carried.extend(fate.carried)
                if fate.carried:
                    touched.append(item_id)
                if fate.judge_again:
                    again.append(item_id)
        self._policies.carry(carried, version=version, person=person)
        self._policies.send_back(again)
        ItemRepository(self._session).refresh(touched)


def compare(old: Sequence[Category], new: Sequence[Category]) -> list[CategoryChange]:
    """What changed from one list of categories to another."""
    before = {category.code: category for category in old}
    after = {category.code: category for category in new}
    changes: list[CategoryChange] = []
    for code, category in after.items():
        if code not in before:
            changes.append(CategoryChange(code, ChangeKind.ADDED, None, category))
        elif fields := _changed(before[code], category):
            changes.append(CategoryChange(code, ChangeKind.CHANGED, before[code], category, fields))
    changes.extend(
        CategoryChange(code, ChangeKind.REMOVED, category, None)
        for code, category in before.items()
        if code not in after
    )
    return changes


def _changed(before: Category, after: Category) -> tuple[str, ...]:
    fields = ("name", "definition", "examples")
    return tuple(name for name in fields if getattr(before, name) != getattr(after, name))


def _categories(version: PolicyVersion) -> list[Category]:
    return [
        Category(code=row.code, name=row.name, definition=row.definition, examples=row.examples)
        for row in version.categories
    ]


def _check_fates(
    newest: PolicyVersion | None, categories: Sequence[Category], fates: Mapping[str, str | None]
) -> None:
    codes = {category.code for category in categories}
    removed = {category.code for category in newest.categories} - codes if newest else set()
    for code in sorted(removed - fates.keys()):
        raise InvalidInputError(
            f"The category {code!r} is no longer in the policy.",
            f"Say what becomes of its items: another code ({code}=other) or {code}=again to judge them anew.",
        )
    for code, target in fates.items():
        if code not in removed:
            raise InvalidInputError(f"The category {code!r} is not removed.", "Leave out its fate.")
        if target is not None and target not in codes:
            raise InvalidInputError(
                f"The new policy has no category {target!r} for the items of {code!r}.",
                f"Its categories are {', '.join(sorted(codes))}.",
            )
