"""Storing an evaluation set: a new version where posts or labels changed, else the one that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy.orm import Session

from backend import events
from backend.db.models import EvaluationSet, Import
from backend.db.models.evaluation import SetOrigin
from backend.errors import ConflictError
from backend.intake.cells import as_text
from backend.intake.place import Place
from backend.intake.repository import IntakeRepository
from backend.intake.sets import SetBuilder
from backend.text import things


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a set beside its posts.

    Attributes:
        label_map: in a set with labels of its own, the label for each of the policy's codes.
        group_by: the column that groups its posts.
        groups: what it says of each, by id.
        language: a BCP 47 tag.
    """

    label_map: dict[str, str] | None
    group_by: str | None
    groups: Mapping[str, str]
    language: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """The version that holds a file's posts.

    Attributes:
        created: whether it was made now.
        updated: whether what is known of it changed now.
        held_out: items that it takes out of training.
    """

    set: EvaluationSet
    created: bool = False
    updated: bool = False
    held_out: int = 0


def keep_set(
    session: Session,
    builder: SetBuilder,
    place: Place,
    about: About,
    *,
    name: str,
    file_name: str,
    note: Callable[[], Import],
    person: str,
) -> Kept:
    """Store a set, or find it stored.

    Groups and language only describe: where nothing else is new they are noted on the version
    that is there, and what was evaluated on it stays.

    Args:
        note: notes the file, where its posts are stored.

    Raises:
        ConflictError: the name is that of a set which the project makes by itself.
    """
    repository = IntakeRepository(session)
    newest = repository.newest_set(place.project.id, name)
    if newest is not None and newest.origin is not SetOrigin.IMPORTED:
        raise ConflictError(f"The set {name!r} is the project's own.", "Choose another name.")
    if newest is not None and newest.hash == builder.hash() and _same_groups(repository, newest, about):
        return Kept(newest, updated=_describe(newest, about))
    stored = repository.add_set(
        EvaluationSet(
            project_id=place.project.id,
            name=name,
            number=newest.number + 1 if newest else 1,
            origin=SetOrigin.IMPORTED,
            policy_version_id=place.version.id,
            positive_labels=builder.positive,
            label_map=about.label_map,
            group_by=about.group_by,
            language=about.language or (newest.language if newest else None),
            rows=len(builder.rows),
            hash=builder.hash(),
            import_id=note().id,
            created_by=person,
        )
    )
    items = repository.items_by_hash(place.project.id, [row.text_hash for row in builder.rows])
    repository.add_set_rows(
        [asdict(row) | {"set_id": stored.id, "item_id": items.get(row.text_hash)} for row in builder.rows]
    )
    repository.hold_out(sorted(items.values()))
    told = f"Imported the evaluation set {name} from {file_name}: {things(len(builder.rows), 'post')}."
    events.record(session, place.project.id, person, told)
    return Kept(stored, created=True, held_out=len(items))


def _same_groups(repository: IntakeRepository, stored: EvaluationSet, about: About) -> bool:
    """Whether the stored posts say of their groups what the file says."""
    if about.group_by is None:
        return True
    known = repository.set_meta(stored.id)
    return all(
        as_text(known[post].get(about.group_by)).strip() == group for post, group in about.groups.items()
    )


def _describe(stored: EvaluationSet, about: About) -> bool:
    before = stored.group_by, stored.language
    stored.group_by = about.group_by or stored.group_by
    stored.language = about.language or stored.language
    return (stored.group_by, stored.language) != before
