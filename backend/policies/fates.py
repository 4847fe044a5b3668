"""What becomes of people's judgements when a category is removed: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.db.models.review import Source, Verdict
from backend.items.decision import Said, standing


@dataclass(frozen=True, slots=True)
class Carried:
    """One judgement under the new policy: `labels` mapped, or None where it is taken back."""

    judgement_id: int
    labels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one item: judgements to add, and whether people must judge it again."""

    carried: tuple[Carried, ...]
    judge_again: bool


def carry_over(judgements: Sequence[Said], fates: Mapping[str, str | None]) -> Fate:
    """What to add to one item's judgements so that no removed category stands any more.

    Of each source only the judgement that stands matters. Where it cannot be mapped it is
    taken back, and with it every earlier one that would then stand with a removed category.

    Args:
        judgements: all that was said of the item.
        fates: what each removed code becomes; None where people judge again.
    """
    carried: list[Carried] = []
    for source in Source:
        said = [judgement for judgement in judgements if judgement.source is source]
        while (stands := standing(said)) is not None and fates.keys() & set(stands.labels or ()):
            labels = _mapped(stands.labels or (), fates)
            carried.append(Carried(stands.id, labels))
            if labels is not None:
                break
            said.append(Said(stands.id, source, "", None, Verdict.WITHDRAWN, supersedes_id=stands.id))
    decision = standing(judgements)
    taken_back = {one.judgement_id for one in carried if one.labels is None}
    return Fate(tuple(carried), decision is not None and decision.id in taken_back)


def _mapped(labels: tuple[str, ...], fates: Mapping[str, str | None]) -> tuple[str, ...] | None:
    """The labels under the new policy, without repeats; None where one cannot be mapped."""
    mapped = [fates.get(code, code) for code in labels]
    known = [code for code in mapped if code is not None]
    return tuple(dict.fromkeys(known)) if len(known) == len(mapped) else None
