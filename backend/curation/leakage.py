"""Posts that are never taught because they nearly repeat one that students are judged by.

Validation posts are left out as well as training posts: the moment to stop is chosen on them, and
a choice made on what is nearly a test post would flatter the student as learning it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.curation.leak_repository import Judging, LeakRepository
from backend.db.models.content import Split
from backend.near_duplicates import Known

TEST_POSTS = "the test split"
LOOKED_AT_ONCE = 50_000
"""Items that can be looked through while somebody waits for a page: some seconds."""


@dataclass(frozen=True, slots=True)
class Leaks:
    """What was found.

    Attributes:
        judging: what was compared with.
        apart: by item to keep apart, the name of the set that has a post which it nearly repeats.
    """

    judging: Judging
    apart: Mapping[int, str]


# What was found last, by database and project: looking through 20,000 posts takes seconds, and
# what they are compared with changes seldom.
_LAST: dict[tuple[str, int], Leaks] = {}


def leaks(session: Session, project_id: int) -> Leaks:
    """Which training and validation items nearly repeat a post that students are judged by.

    They are judged by the newest version of each evaluation set, and by the posts of the test
    split, decided and frozen or not. Where an item repeats posts of several, the test split is
    named, else the first set by name.
    """
    repository = LeakRepository(session)
    judging = repository.judging(project_id)
    last = _LAST.get((repository.database, project_id))
    if last is None or last.judging != judging:
        last = Leaks(judging, _look(repository, project_id, judging))
        _LAST[repository.database, project_id] = last
    return last


def leaks_at_once(session: Session, project_id: int) -> Leaks | None:
    """The same for somebody who waits; None where looking would take long and it is not known already."""
    repository = LeakRepository(session)
    last = _LAST.get((repository.database, project_id))
    known = last is not None and last.judging == repository.judging(project_id)
    return leaks(session, project_id) if known or repository.items(project_id) <= LOOKED_AT_ONCE else None


def _look(repository: LeakRepository, project_id: int, judging: Judging) -> Mapping[int, str]:
    names: list[str] = []

    def posts() -> Iterator[str]:
        for name, text in _judged_by(repository, project_id, judging):
            names.append(name)
            yield text

    known = Known(posts())
    of: dict[int, str] = {}
    for place, name in zip(known.places.tolist(), names, strict=True):
        of.setdefault(place, name)
    found = (
        (item_id, next(known.like(text), None))
        for item_id, text in repository.posts(project_id, Split.TRAIN, Split.VALIDATION)
    )
    return {item_id: of[place] for item_id, place in found if place is not None}


def _judged_by(repository: LeakRepository, project_id: int, judging: Judging) -> Iterator[tuple[str, str]]:
    """Each post that students are judged by, after the name of its set."""
    yield from ((TEST_POSTS, text) for _, text in repository.posts(project_id, Split.TEST))
    for set_id in judging.set_ids:
        name, texts = repository.set_posts(set_id)
        yield from ((name, text) for text in texts)
