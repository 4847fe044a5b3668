"""Storing the answers that a teacher gave elsewhere."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.db.models import TeacherRun
from backend.errors import InvalidInputError
from backend.intake.cells import CellError
from backend.intake.labels import Vocabulary
from backend.intake.reports import MOST_REJECTED, AnswerReport, Rejected
from backend.intake.repository import IntakeRepository, KnownRound
from backend.intake.rows import Answer, Round
from backend.intake.seen import Seen

_MOST_MODELS = 100


@dataclass(frozen=True, slots=True)
class Said:
    """A teacher's answer to an item that is stored."""

    item_id: int
    line: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: the project's policy and words, the teacher's name where a row has none."""

    project_id: int
    policy_version_id: int
    vocabulary: Vocabulary
    model: str
    person: str


class AnswerImport:
    """Adds answers chunk by chunk; a teacher's known answer to an item is not added again."""

    def __init__(self, repository: IntakeRepository, voice: Voice) -> None:
        self._repository = repository
        self._voice = voice
        self._runs: dict[str, TeacherRun] = {}
        self._seen: dict[str, Seen] = defaultdict(Seen)
        self._counts: Counter[str] = Counter()
        self._rejected: list[Rejected] = []

    def add(self, said: Sequence[Said]) -> list[int]:
        """Store a chunk of answers.

        Returns:
            The items that got one.
        """
        by_model: dict[str, list[Said]] = defaultdict(list)
        for one in said:
            by_model[one.answer.model or self._voice.model].append(one)
        return [item_id for model, chunk in by_model.items() for item_id in self._add(model, chunk)]

    def reject(self, line: int, why: str) -> None:
        """Count an answer that cannot be stored."""
        self._counts["rejected"] += 1
        if len(self._rejected) < MOST_REJECTED:
            self._rejected.append(Rejected(line, why))

    def unknown(self, line: int, why: str) -> None:
        """Count an answer to a post that the project does not have."""
        self._counts["unknown"] += 1
        self.reject(line, why)

    def report(self, rows: int) -> AnswerReport:
        """What became of the answers."""
        counts = self._counts
        return AnswerReport(
            project_id=self._voice.project_id,
            rows=rows,
            added=counts["added"],
            updated=counts["updated"],
            unchanged=counts["unchanged"],
            invalid=counts["invalid"],
            rechecked=counts["rechecked"],
            unknown=counts["unknown"],
            rejected_count=counts["rejected"],
            rejected=tuple(sorted(self._rejected, key=lambda one: one.line)),
            models=tuple(sorted(self._seen)),
        )

    def _add(self, model: str, said: Sequence[Said]) -> list[int]:
        if model not in self._seen and len(self._seen) >= _MOST_MODELS:
            raise InvalidInputError(
                f"The file names more than {_MOST_MODELS} different teachers.",
                "Check which column holds the teacher's name.",
            )
        seen = self._seen[model]
        known = self._repository.answers(self._voice.project_id, model, sorted({one.item_id for one in said}))
        new: list[tuple[int, list[KnownRound]]] = []
        for one in said:
            if one.item_id in seen:
                self.reject(one.line, f"the post has an answer by {model} at an earlier line")
                continue
            seen.add(one.item_id)
            rounds = [self._coded(said_round) for said_round in one.answer.rounds]
            before = known.get(one.item_id, ())
            if [*before[: len(rounds)]] == rounds:
                self._counts["unchanged"] += 1
                continue
            self._counts["updated" if before else "added"] += 1
            new.append((one.item_id, rounds))
        self._store(model, new)
        return [item_id for item_id, _ in new]

    def _store(self, model: str, new: Sequence[tuple[int, list[KnownRound]]]) -> None:
        if not new:
            return
        run = self._run(model)
        run.wanted += len(new)
        rows: list[dict[str, Any]] = []
        for item_id, rounds in new:
            self._counts["invalid"] += rounds[0].labels is None
            self._counts["rechecked"] += len(rounds) > 1
            run.recheck = run.recheck or len(rounds) > 1
            rows.extend(_row(run.id, item_id, number, said) for number, said in enumerate(rounds))
        self._repository.add_answers(rows)

    def _coded(self, said: Round) -> KnownRound:
        """A round as it is stored: an unreadable one keeps what came, word for word."""
        error = said.error
        if said.labels is not None:
            try:
                labels = self._voice.vocabulary.read(said.labels)
                return KnownRound(labels, said.analysis, said.harmful)
            except CellError as problem:
                error = str(problem)
        return KnownRound(None, said.analysis, said.harmful, said.raw, (error or "")[:500])

    def _run(self, model: str) -> TeacherRun:
        if model not in self._runs:
            self._runs[model] = self._repository.add_teacher_run(
                self._voice.project_id,
                policy_version_id=self._voice.policy_version_id,
                model=model,
                person=self._voice.person,
            )
        return self._runs[model]


def _row(run_id: int, item_id: int, number: int, said: KnownRound) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "item_id": item_id,
        "round": number,
        "labels": said.labels,
        "analysis": said.analysis,
        "harmful": said.harmful,
        "raw": said.raw,
        "error": said.error,
    }
