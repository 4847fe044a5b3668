"""Storing posts: what is new goes in, what is known is compared, the rest is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.db.models.content import Split
from backend.db.models.review import Source
from backend.intake.answers import AnswerImport, Said, Voice
from backend.intake.cells import CellError
from backend.intake.labels import UnknownLabelError
from backend.intake.reports import MOST_REJECTED, Rejected
from backend.intake.repository import Gold, IntakeRepository
from backend.intake.rows import Post
from backend.intake.seen import Seen
from backend.intake.splits import hash_split

PERSON = "import"
"""In whose name gold judgements stand: whoever labelled the file is not known by name."""

# The number of a judgement that this chunk adds and that has none yet.
_PENDING = 0
_GENERATED_ID = 16


@dataclass(frozen=True, slots=True)
class _Alias:
    """The text that a duplicate's id stands for, and its line."""

    text_hash: str
    line: int


@dataclass(slots=True)
class _Target:
    """The item that a row is about; `id` is 0 until it is stored, `line` where this chunk saw it."""

    id: int
    external_id: str
    text_hash: str
    split: Split
    line: int | None = None
    gold: Gold | None = None


@dataclass(frozen=True, slots=True)
class _Match:
    """A row and its item. `own` where the row, first in its file, names the item by its own id."""

    post: Post
    codes: tuple[str, ...] | None
    target: _Target
    own: bool


class PostImport:
    """Adds posts chunk by chunk, in one transaction with everything that hangs on them."""

    def __init__(
        self, repository: IntakeRepository, answers: AnswerImport, voice: Voice, *, import_id: int
    ) -> None:
        self._repository = repository
        self._answers = answers
        self._voice = voice
        self._import_id = import_id
        self._seen = Seen()
        self._rejected: list[Rejected] = []
        self._clashes: list[tuple[int, str, str]] = []
        # A duplicate brings no item of its own, but its id is taken for the rest of the file.
        self._aliases: dict[str, _Alias] = {}
        self.counts: Counter[str] = Counter()
        self.splits: Counter[Split] = Counter()
        self.unknown_labels: Counter[str] = Counter()

    def reject(self, line: int, why: str) -> None:
        """Count a row that cannot be used."""
        self.counts["rejected"] += 1
        if len(self._rejected) < MOST_REJECTED:
            self._rejected.append(Rejected(line, why))

    def add(self, posts: Sequence[Post]) -> list[int]:
        """Store a chunk of posts.

        Returns:
            The items whose state may have changed.
        """
        matches = self._match(posts)
        new = [match for match in matches if match.target.id == 0 and match.own]
        self._store(new)
        touched = {match.target.id for match in new}
        touched |= self._judge(matches, touched)
        said = [
            Said(match.target.id, match.post.line, match.post.answer)
            for match in matches
            if match.post.answer is not None
        ]
        touched.update(self._answers.add(said))
        for match in matches:
            self._seen.add(match.target.id)
        return sorted(touched)

    def rejected(self, first_lines: Callable[[dict[str, str]], dict[str, int]]) -> tuple[Rejected, ...]:
        """The rows that were left out, in the file's order.

        Args:
            first_lines: finds the lines at which posts with these ids and hashes stand first.
        """
        lines = first_lines({name: text for _, name, text in self._clashes}) if self._clashes else {}
        for line, name, _ in self._clashes:
            self._clash(line, name, lines.get(name))
        self._clashes.clear()
        return tuple(sorted(self._rejected, key=lambda one: one.line)[:MOST_REJECTED])

    def _match(self, posts: Sequence[Post]) -> list[_Match]:
        """Find the item of each row, among the stored ones and those earlier in this chunk."""
        known = [
            _Target(item.id, item.external_id, item.text_hash, item.split)
            for item in self._repository.items(
                self._voice.project_id,
                external_ids={_name(post) for post in posts},
                hashes={post.text_hash for post in posts},
            )
        ]
        by_name = {target.external_id: target for target in known}
        by_hash = {target.text_hash: target for target in known}
        matches: list[_Match] = []
        for post in posts:
            try:
                codes = None if post.labels is None else self._voice.vocabulary.read(post.labels)
            except CellError as error:
                if isinstance(error, UnknownLabelError):
                    self.unknown_labels.update(error.labels)
                self.reject(post.line, str(error))
                continue
            alias = self._aliases.get(_name(post))
            target = by_name.get(_name(post))
            if alias is not None and alias.text_hash != post.text_hash:
                self.counts["rejected"] += 1
                self._clash(post.line, _name(post), alias.line)
                continue
            if target is not None and target.text_hash != post.text_hash:
                self._clashing(post, target)
                continue
            target = target or by_hash.get(post.text_hash)
            if target is None:
                target = _Target(0, _name(post), post.text_hash, post.split or hash_split(post.text_hash))
                by_name[target.external_id] = by_hash[target.text_hash] = target
            matches.append(self._matched(post, codes, target))
        return matches

    def _matched(self, post: Post, codes: tuple[str, ...] | None, target: _Target) -> _Match:
        first = target.line is None and target.id not in self._seen
        own = first and post.external_id in (None, target.external_id)
        target.line = target.line or post.line
        if not own:
            self.counts["duplicates"] += 1
            self._aliases.setdefault(_name(post), _Alias(post.text_hash, post.line))
        elif target.id:
            self.counts["unchanged"] += 1
            self.counts["split_kept"] += post.split not in (None, target.split)
        return _Match(post, codes, target, own)

    def _clashing(self, post: Post, target: _Target) -> None:
        name = _name(post)
        if target.line is None and target.id in self._seen:
            # Only a second look at the file can tell the line, and few files need one.
            self.counts["rejected"] += 1
            if len(self._clashes) < MOST_REJECTED:
                self._clashes.append((post.line, name, target.text_hash))
            return
        self.counts["rejected"] += 1
        self._clash(post.line, name, target.line)

    def _clash(self, line: int, name: str, first: int | None) -> None:
        where = "the project has it" if first is None else f"line {first} has it"
        if len(self._rejected) < MOST_REJECTED:
            self._rejected.append(Rejected(line, f"the id {name!r} is taken: {where} with another text"))

    def _store(self, new: Sequence[_Match]) -> None:
        """Add new items and learn their numbers."""
        if not new:
            return
        hashes = [match.target.text_hash for match in new]
        held_out = self._repository.held_out(self._voice.project_id, hashes)
        self._repository.add_items([self._item(match, held_out) for match in new])
        numbers = self._repository.items_by_hash(self._voice.project_id, hashes)
        for match in new:
            match.target.id = numbers[match.target.text_hash]
            self.splits[match.target.split] += 1
        self.counts["added"] += len(new)
        self.counts["held_out"] += len(held_out)

    def _item(self, match: _Match, held_out: Iterable[str]) -> dict[str, Any]:
        return {
            "project_id": self._voice.project_id,
            "external_id": match.target.external_id,
            "text": match.post.text,
            "text_hash": match.target.text_hash,
            "split": match.target.split,
            "source": match.post.source,
            "meta": match.post.meta or {},
            "import_id": self._import_id,
            "held_out": match.target.text_hash in held_out,
        }

    def _judge(self, matches: Sequence[_Match], new: set[int]) -> set[int]:
        """Add the gold judgements that say something new.

        Returns:
            The items that got one.
        """
        labelled = [match for match in matches if match.codes is not None]
        before = {match.target.id for match in labelled} - new
        stands = self._repository.gold(sorted(before)) if before else {}
        rows: list[dict[str, Any]] = []
        for match in labelled:
            target = match.target
            target.gold = target.gold or stands.get(target.id)
            if not self._says_more(match):
                continue
            rows.append(self._judgement(match))
            target.gold = Gold(_PENDING, match.codes, match.post.reason)
            if match.own and target.id not in new:
                self.counts["updated"] += 1
                self.counts["unchanged"] -= 1
        self._repository.add_judgements(rows)
        self.counts["labelled"] += len(rows)
        return {int(row["item_id"]) for row in rows}

    def _says_more(self, match: _Match) -> bool:
        gold, post = match.target.gold, match.post
        if gold is None:
            return True
        same = gold.labels == match.codes
        if match.own:
            return not same or post.reason not in (None, gold.reason)
        # Of two rows with one text the first stands, so that importing again changes nothing.
        self.counts["conflicting"] += not same
        return False

    def _judgement(self, match: _Match) -> dict[str, Any]:
        gold = match.target.gold
        return {
            "item_id": match.target.id,
            "policy_version_id": self._voice.policy_version_id,
            "source": Source.GOLD,
            "person": PERSON,
            "labels": match.codes,
            "reason": match.post.reason,
            "supersedes_id": gold.id if gold is not None else None,
        }


def _name(post: Post) -> str:
    """The post's id; without one the beginning of its text's hash, the same in every file."""
    return post.external_id or post.text_hash[:_GENERATED_ID]
