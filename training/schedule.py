"""What a run does when: its learning rate, its validations, and which of them is the best."""

from __future__ import annotations

import math

from training.checkpoints import Best
from training.job import Config


def learning_rate(step: int, steps: int, config: Config) -> float:
    """The rate of a step (from 0): a straight rise, then a cosine to a tenth of the peak."""
    rise = math.ceil(config.warmup * steps)
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    share = (step - rise) / max(1, steps - rise)
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def validation_steps(steps: int, times: int) -> set[int]:
    """After which steps the validation loss is taken: evenly, the last one included."""
    return {math.ceil(index * steps / times) for index in range(1, times + 1)}


def is_better(loss: float, macro_f1: float | None, best: Best | None) -> bool:
    """Whether a validation beats the best so far; of two as good by macro-F1, the one of lower loss does."""
    if not math.isfinite(loss):
        return False
    if best is None:
        return True
    if macro_f1 is None or best.macro_f1 is None:
        return loss < best.loss
    return (macro_f1, -loss) > (best.macro_f1, -best.loss)
