"""What a fine-tune will take, said before it starts; without torch, from a sample of its rows.

Time is the arithmetic that is ahead divided by the pace of an earlier job on this computer. Memory
is a formula, put right by the most that the earlier job used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backend.errors import InvalidInputError
from backend.runs import cautions
from backend.runs.speeds import Pace
from backend.runs.views import Estimate, Phases
from backend.runs.workload import Plan, Workload, workload
from training.cost import Device, Shape, UnknownShapeError, lower_bytes, peak_memory, row_budget
from training.job import Config
from training.policy import Policy
from training.prompt import PromptError, Renderer, forms_of

SAMPLE = 500
"""Rows that are tokenised for an estimate: a tenth of a second."""

_CHECKPOINT_SECONDS = 60.0
"""The trainer saves at each validation, and as often between them."""


def estimate(
    plan: Plan, policy: Policy, answers: Mapping[tuple[str, ...], int], folder: Path | None, pace: Pace | None
) -> Estimate:
    """Estimate one fine-tune.

    Args:
        plan: the fine-tune.
        policy: what the prompt carries.
        answers: how many rows to learn are taught which set of labels.
        folder: the base model's; None where it is not here, and then little can be said.
        pace: of the earlier job that is most like it; None where there is none.

    Raises:
        InvalidInputError: the base model's tokenizer cannot render a prompt.
    """
    shape = _shape(folder)
    if folder is None or shape is None:
        return Estimate(
            examples=_examples(plan),
            memory_free=plan.free,
            cautions=cautions.cautions(cautions.Known(plan, policy, answers)),
        )
    try:
        renderer = Renderer(folder, policy)
    except PromptError as error:
        raise InvalidInputError("This base model cannot be taught.", f"{error}.") from error
    budget = row_budget(shape, plan.config, plan.device, plan.free)
    if pace is not None and pace.alike:
        # Memory may have run out for longer rows.
        budget = min(budget, pace.speed.row_tokens)
    work = workload(plan, renderer, shape, budget)
    if work is None:
        found = cautions.cautions(cautions.Known(plan, policy, answers, shape))
        return Estimate(examples=_examples(plan), memory_free=plan.free, cautions=found)
    needed = _memory(shape, plan, work, work.longest_row, pace)
    least = _memory(shape, plan, work, work.longest_example, pace)
    found = cautions.cautions(cautions.Known(plan, policy, answers, shape, work, needed, least))
    return Estimate(
        examples=work.examples,
        steps=work.steps,
        tokens=work.tokens,
        peer_tokens=work.peer_tokens,
        learned_tokens=work.learned_tokens,
        phases=None if pace is None else phases(work, pace),
        pace=None if pace is None else pace.source,
        pace_alike=pace is not None and pace.alike,
        memory=needed,
        memory_free=plan.free,
        memory_measured=pace is not None and pace.knows_peak,
        cautions=found,
    )


def phases(work: Workload, pace: Pace) -> Phases:
    """Seconds of each phase at an earlier job's pace; a kind that it did not do goes as training did."""
    per_second = pace.speed.flops_per_second
    training = work.training / per_second["training"]
    training += work.validating / per_second.get("validating", per_second["training"])
    scoring = per_second.get("scoring", per_second["training"])
    saves = work.validations + 1 + training / _CHECKPOINT_SECONDS
    return Phases(
        loading=pace.speed.loading_seconds,
        training=training + saves * pace.speed.saving_seconds,
        preferring=work.preferring / per_second.get("preferring", per_second["training"]),
        scoring=work.scoring / scoring,
        asking_again=work.asking_again / scoring,
    )


def _memory(shape: Shape, plan: Plan, work: Workload, longest: int, pace: Pace | None) -> float:
    """Bytes by the formula; where a job was measured, what it used and the formula's difference to it.

    One that did not come to its peak can only say that more is used.
    """
    here = _formula(shape, plan.config, longest, work.kept_tokens, plan.device)
    if pace is None:
        return here
    speed = pace.speed
    there = _formula(shape, pace.config, speed.longest_row, speed.kept_tokens, plan.device)
    used = speed.peak_bytes + here - there
    return used if pace.knows_peak else max(here, used)


def _formula(shape: Shape, config: Config, longest: int, kept_tokens: int, device: Device) -> float:
    kept = lower_bytes(shape, config, kept_tokens, device)
    return peak_memory(shape, config, longest, device) + kept


def _shape(folder: Path | None) -> Shape | None:
    if folder is None:
        return None
    try:
        return Shape.read(folder)
    except UnknownShapeError:
        # The trainer will say what is wrong with the folder.
        return None


def _examples(plan: Plan) -> int:
    """Examples of one pass where they cannot be rendered."""
    if not plan.sample:
        return plan.rows
    forms = sum(len(forms_of(row.analysis, plan.config.answers)) for row in plan.sample)
    return round(plan.rows * forms / len(plan.sample))
