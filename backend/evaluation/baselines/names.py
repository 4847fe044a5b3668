"""Which baselines there are, and what they are called where they are stored and shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Baseline(StrEnum):
    """The baselines, by the names of their folders."""

    REGRESSION = "regression"
    WORD_LIST = "word-list"
    OWN_WORDS = "own-words"
    PROFANITY = "profanity"

    @property
    def is_taught(self) -> bool:
        """Whether it learns from the project's own posts."""
        return self in (Baseline.REGRESSION, Baseline.WORD_LIST)


_SHOWN = {
    Baseline.REGRESSION: "Logistic regression",
    Baseline.WORD_LIST: "Word list",
    Baseline.OWN_WORDS: "Your word list",
    Baseline.PROFANITY: "alt-profanity-check",
}


@dataclass(frozen=True, slots=True)
class BaselineModel:
    """A baseline, and the number of the dataset version that it learned from, or of the team's own list."""

    baseline: Baseline
    version: int | None = None

    @classmethod
    def of(cls, model: str) -> BaselineModel:
        """As `Evaluation.model` has it."""
        baseline, _, version = model.partition(" of version ")
        return cls(Baseline(baseline), int(version) if version else None)

    @property
    def model(self) -> str:
        """How `Evaluation.model` has it."""
        return self.baseline.value if self.version is None else f"{self.baseline} of version {self.version}"

    @property
    def name(self) -> str:
        """As a table shows it."""
        learned = "" if self.version is None else f", version {self.version}"
        return f"{_SHOWN[self.baseline]}{learned}"
