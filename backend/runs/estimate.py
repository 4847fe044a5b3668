"""What a fine-tune will take, said before it starts; without torch, from a sample of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from backend.base_models import local_folder
from backend.db.models import Run
from backend.errors import InvalidInputError
from backend.jobs.devices import gpus
from backend.runs.views import Estimate
from backend.settings import Settings
from training.job import Config
from training.policy import Policy
from training.prompt import Answer, Form, PromptError, Renderer, forms_of

SAMPLE = 200
"""Rows that are rendered for an estimate."""

# Tokens a second that were seen with models of 135 million weights: two cores, and one GPU.
_CPU_PACE = (150.0, 1_500.0)
_GPU_PACE = (5_000.0, 60_000.0)
_TOKENS_UNKNOWN = 250
# A measured pace still changes with the length of posts and with what else the computer does.
_MEASURED_SPAN = (0.8, 1.6)


@dataclass(frozen=True, slots=True)
class _Sampled:
    examples_per_row: float
    tokens_per_example: float | None = None
    learned_per_example: float | None = None


def estimate(
    counts: Mapping[str, Any],
    sample: pd.DataFrame,
    policy: Policy,
    config: Config,
    base_model: str,
    settings: Settings,
    last: Run | None,
) -> Estimate:
    """Estimate one fine-tune.

    Args:
        counts: the dataset version's counts.
        sample: some of its training rows.
        policy: what the prompt carries.
        config: the settings.
        base_model: its checked name; tokens are counted only where it lies here.
        settings: where base models lie.
        last: the last run that finished with this base model; its pace is taken.

    Raises:
        InvalidInputError: the base model's tokenizer cannot render a prompt.
    """
    seen = _look(sample, policy, config, base_model, settings)
    examples = round(int(counts.get("rows", {}).get("train", 0)) * seen.examples_per_row)
    learned = seen.learned_per_example
    low, high, measured = _seconds(examples, config, seen, last)
    return Estimate(
        examples=examples,
        tokens=None if seen.tokens_per_example is None else round(examples * seen.tokens_per_example),
        learned_tokens=None if learned is None else round(examples * learned),
        seconds_low=low,
        seconds_high=high,
        measured=measured,
    )


def _forms(row: dict[Any, Any], config: Config) -> Sequence[Form]:
    analysis = row["analysis"]
    return forms_of(analysis if isinstance(analysis, str) else None, config.answers)


def _look(
    sample: pd.DataFrame, policy: Policy, config: Config, base_model: str, settings: Settings
) -> _Sampled:
    rows: list[dict[Any, Any]] = sample.to_dict("records")
    pairs = [(row, form) for row in rows for form in _forms(row, config)]
    per_row = len(pairs) / len(sample) if len(sample) else 1.0
    folder = local_folder(base_model, settings)
    if folder is None or not pairs:
        return _Sampled(per_row)
    try:
        renderer = Renderer(folder, policy)
    except PromptError as error:
        raise InvalidInputError("This base model cannot be taught.", f"{error}.") from error
    lengths, learned = [], []
    for row, form in pairs:
        answer = Answer(policy.in_order(row["labels"]), row["analysis"], tuple(row["harmful"]))
        try:
            example = renderer.example(row["text"], form, answer, config.max_length)
        except PromptError:
            continue
        lengths.append(len(example))
        learned.append(len(example.answer))
    if not lengths:
        return _Sampled(per_row)
    return _Sampled(per_row, sum(lengths) / len(lengths), sum(learned) / len(learned))


def _seconds(examples: int, config: Config, seen: _Sampled, last: Run | None) -> tuple[float, float, bool]:
    pace = _pace_of(last)
    if pace is not None:
        likely = examples * config.epochs * pace
        return likely * _MEASURED_SPAN[0], likely * _MEASURED_SPAN[1], True
    slow, fast = _GPU_PACE if gpus() else _CPU_PACE
    tokens = examples * config.epochs * (seen.tokens_per_example or _TOKENS_UNKNOWN)
    return tokens / fast, tokens / slow, False


def _pace_of(run: Run | None) -> float | None:
    """Seconds of training for one example of one epoch; None where the run does not tell."""
    if run is None or run.result is None:
        return None
    about, timings = run.result.get("training", {}), run.result.get("timings", {})
    steps = about.get("step", 0) - (about.get("resumed_from") or 0)
    examples = steps * int(run.config.get("batch_size", 1))
    return timings["training"] / examples if examples > 0 and "training" in timings else None
