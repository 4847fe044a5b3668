"""Counting what a handling gives, and saying what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.curation.handling import LeftOut, Taught, Why
from backend.curation.views import USE_UNANSWERED, USE_UNVERIFIED, HandlingPreview
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.errors import InvalidInputError
from training.policy import Policy

_LISTED = 3
_UNANSWERED = f"with “{USE_UNANSWERED}” (--include-unanswered)."
_HINTS = {
    Why.NO_ANSWER: "Let the teacher answer, judge posts from scratch, "
    f"or build a version with the handling review and {_UNANSWERED}",
    Why.UNREADABLE: "Ask the teacher again, or judge these posts from scratch.",
    Why.UNVERIFIED: "Review some answers first, "
    f"or build a version with “{USE_UNVERIFIED}” (--include-unverified).",
    Why.TEST: "Import more posts: a dataset needs some outside the test split.",
    Why.HELD_OUT: "Import posts that are not in an evaluation set.",
    Why.NEARLY: "Import posts that do not nearly repeat those of the test split or an evaluation set.",
    Why.OTHER_POLICY: "Add the missing categories to the policy.",
}
_OTHER_HINT = "Choose a handling that leaves out less, or review more posts."


class Tally:
    """Counts what becomes of items, so that a dataset of any size can be counted."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._train_labels = dict.fromkeys(policy.codes, 0)
        self._train_none = 0
        self._counts = HandlingPreview(labels=dict.fromkeys(policy.codes, 0))

    def add(self, split: Split, outcome: Taught | LeftOut, count: int = 1) -> None:
        """Count items that came out the same."""
        counts = self._counts
        if isinstance(outcome, LeftOut):
            counts.left_out[outcome.reason] = counts.left_out.get(outcome.reason, 0) + count
            return
        in_training = count if split is Split.TRAIN else 0
        counts.rows[split] += count
        counts.reasoned += count if outcome.analysis is not None else 0
        for code in outcome.labels:
            counts.labels[code] += count
            self._train_labels[code] += in_training
        if not outcome.labels:
            counts.none += count
            self._train_none += in_training

    def move(self, split: Split, counted: Taught | LeftOut, outcome: Taught | LeftOut) -> None:
        """Count one item, that was counted before, as something else."""
        self.add(split, counted, -1)
        self.add(split, outcome)

    def finish(self) -> HandlingPreview:
        """What was counted, most frequent reasons first, with warnings."""
        counts = self._counts
        left_out = ((reason, items) for reason, items in counts.left_out.items() if items)
        counts.left_out = dict(sorted(left_out, key=lambda pair: -pair[1]))
        counts.warnings = list(self._warnings())
        return counts

    def _warnings(self) -> list[str]:
        names = self._policy.by_code
        missing = [names[code].name for code, rows in self._train_labels.items() if not rows]
        warnings = [
            f"No training row is {name}: the student cannot learn it. Add or review posts of it."
            for name in missing
        ]
        if not self._train_none:
            warnings.append("No training row breaks no rule: the student will see violations everywhere.")
        if not self._counts.rows[Split.VALIDATION]:
            warnings.append(
                "There are no validation rows: the best moment to stop and the thresholds cannot be found."
            )
        return warnings


def as_counts(preview: HandlingPreview) -> dict[str, Any]:
    """The counts as a version keeps them."""
    return {
        "rows": {split.value: rows for split, rows in preview.rows.items()},
        "reasoned": preview.reasoned,
        "labels": preview.labels,
        "none": preview.none,
        "left_out": preview.left_out,
        "warnings": preview.warnings,
    }


def require_enough(handling: Handling, preview: HandlingPreview) -> None:
    """Refuse a dataset from which nothing can be learned.

    Raises:
        InvalidInputError: with why the items fall out and what to do.
    """
    training = preview.rows[Split.TRAIN]
    if training > 1:
        return
    many = "no training row" if training == 0 else "a single training row"
    if training == 0 and preview.total:
        hint = "Every row is in the validation split; import posts for training."
    else:
        hint = _hint(handling, preview.left_out)
    raise InvalidInputError(
        f"With handling {handling.value} the dataset would have {many}{_reasons(preview.left_out)}.", hint
    )


def _reasons(left_out: Mapping[str, int]) -> str:
    listed = [f"{count:,} {why}" for why, count in list(left_out.items())[:_LISTED]]
    return f" (left out: {'; '.join(listed)})" if listed else ": the project has no items"


def _hint(handling: Handling, left_out: Mapping[str, int]) -> str:
    """What helps most: by the most frequent reason that something can be done about."""
    if not left_out:
        return "Import posts first."
    reasons = [_why(reason) for reason in left_out]
    can_help = [why for why in reasons if why not in (Why.TEST, Why.HELD_OUT, Why.NEARLY)]
    why = (can_help or reasons)[0]
    if why is Why.NO_ANSWER and handling is Handling.REVIEW:
        return f"Let the teacher answer, judge posts from scratch, or build a version {_UNANSWERED}"
    return _HINTS.get(why, _OTHER_HINT)


def _why(reason: str) -> Why:
    return Why.NEARLY if reason.startswith(Why.NEARLY) else Why(reason)
