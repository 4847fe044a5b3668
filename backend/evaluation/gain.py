"""What the preference step of a run brought: the run beside itself before it, on the same posts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from backend.db.models import EvaluationSet
from backend.evaluation.comparison import differences, share_text, span_text
from backend.evaluation.judged import Judged, shared
from backend.evaluation.results import Differences, Gain

_GAINS = TypeAdapter(list[Gain])


def gain(evaluation_set: EvaluationSet, after: Judged, before: Judged, names: Mapping[str, str]) -> Gain:
    """Compare a run with itself before the step, by a paired bootstrap.

    Args:
        evaluation_set: what both were judged on.
        after, before: what the two said.
        names: the set's categories by code.
    """
    with_step, without = shared(after, before)
    found = differences(with_step, without, names=names)
    return Gain(
        set_id=evaluation_set.id,
        set_name=evaluation_set.name,
        set_number=evaluation_set.number,
        posts=len(with_step),
        macro_f1=found.macro_f1,
        macro_auprc=found.macro_auprc,
        any_f1=found.any_f1,
        any_auprc=found.any_auprc,
        sentence=_sentence(found),
    )


def _sentence(found: Differences) -> str:
    figure, overall = found.headline
    if overall.difference is None:
        return "Whether the preference step helped cannot be said: there are no posts here."
    verdict = "no clear difference"
    if overall.clear:
        verdict = "it helped" if overall.difference > 0 else "it did harm"
    return (
        f"With the preference step {figure} is {share_text(overall.a)}, without it {share_text(overall.b)} "
        f"({span_text(overall)}): {verdict}."
    )


def write_gains(gains: list[Gain]) -> list[dict[str, Any]]:
    """As they lie in the run's result."""
    stored: list[dict[str, Any]] = _GAINS.dump_python(gains, mode="json")
    return stored


def read_gains(result: Mapping[str, Any] | None) -> list[Gain]:
    """Of a run's result; none where it had no preference step."""
    return _GAINS.validate_python((result or {}).get("preference", {}).get("gains", []))
