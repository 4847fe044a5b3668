"""What can be done with a team's own word list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from backend import events
from backend.db.models import WordList
from backend.evaluation.baselines.own_words import write_words
from backend.policies.service import PolicyService
from backend.text import things
from backend.word_lists.reading import read_words
from backend.word_lists.repository import WordListRepository


@dataclass(frozen=True, slots=True)
class WordListReport:
    """What became of a file.

    Attributes:
        number: of the list that counts now; each new list of a project has the next.
        words: words and phrases in it.
        by_category: how many of them stand for each category.
        any_violation: how many stand for any violation.
        blank: lines without a word, which were passed over.
        repeated: lines that say again what stands above them.
        changed: whether it is another list than before.
    """

    number: int
    file_name: str
    words: int
    by_category: dict[str, int]
    any_violation: int
    blank: int
    repeated: int
    changed: bool


class WordListService:
    """A project's word list: read, and replaced by another."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lists = WordListRepository(session)

    def newest(self, project_id: int) -> WordList | None:
        """The list that counts now; None where the team has given none."""
        return self._lists.newest(project_id)

    def import_file(
        self,
        project_id: int,
        path: Path,
        *,
        name: str | None = None,
        category: str | None = None,
        person: str,
    ) -> WordListReport:
        """Take a file's words in place of the list that was there.

        Evaluations that were made with an earlier list keep their figures.

        Args:
            name: what the person calls the file, where it lies under another name.
            category: code or name of what words stand for that the file gives none; without it they
                stand for any violation.

        Raises:
            InvalidInputError: the file cannot be used; nothing of it is taken then.
        """
        name = name or path.name
        policies = PolicyService(self._session)
        categories = policies.training_policy(policies.newest(project_id)).categories
        found = read_words(path, name, {each.code: each.name for each in categories}, category)
        before = self._lists.newest(project_id)
        entries = {word: list(codes) for word, codes in found.entries.items()}
        changed = before is None or before.entries != entries
        number = (before.number if before else 0) + changed
        if changed:
            self._lists.add(
                WordList(
                    project_id=project_id,
                    number=number,
                    file_name=name[-200:],
                    entries=entries,
                    created_by=person,
                )
            )
            events.record(
                self._session,
                project_id,
                person,
                f"Word list of {things(len(entries), 'word')} imported",
            )
        counts = by_category(entries)
        return WordListReport(
            number=number,
            file_name=name,
            words=len(entries),
            by_category=counts,
            any_violation=sum(not codes for codes in entries.values()),
            blank=found.blank,
            repeated=found.repeated,
            changed=changed,
        )

    def write(self, project_id: int, folder: Path) -> None:
        """Leave the list in a job's folder, for the baseline; nothing where there is none."""
        newest = self.newest(project_id)
        if newest is not None:
            write_words(folder, newest.number, newest.entries)


def by_category(entries: dict[str, list[str]]) -> dict[str, int]:
    """How many words stand for each category that has any."""
    return dict(sorted(Counter(code for codes in entries.values() for code in codes).items()))
