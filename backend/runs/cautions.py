"""What speaks against a fine-tune before it starts: settings that cannot fit, or cannot learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backend.runs.workload import Plan, Workload
from training.cost import Shape, targeted
from training.policy import Policy

FEW_STEPS = 30
"""With fewer the rate has hardly risen before it falls again; the quick preset on the sample takes 120."""

LEAST_MOVE = 0.03
"""Rate times steps: AdamW moves a weight by about the rate at each step. The default base model barely
learned at 0.03 to 0.06 (one pass over 1,000 posts at 5e-4), and learned at 0.12 (docs/training.md)."""

_LARGE, _LEAST_MOVE_LARGE = 1e9, 0.003
"""Models of this many weights learn at a tenth of the rate."""

MOST_RATE_FULL = 2e-4
"""All weights together learn at about a tenth of LoRA's rate (Biderman et al. 2024, arXiv 2405.09673);
the presets' rates for small models are 1e-3 and 2e-3."""

_MOST_RATE_FULL_LARGE = 2e-5
"""The same tenth of the preset for large models, 2e-4."""

_LISTED = 4


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that speaks against the settings.

    Attributes:
        message: what is wrong, in a sentence.
        hint: what to change.
        fatal: whether the run could not even begin or end.
        passing: whether it may be otherwise when the run's turn comes.
        setting: the name of the one to change, where it is one.
        missing: the codes of categories of which there is no row to learn, where it is about these.
    """

    message: str
    hint: str
    fatal: bool = False
    passing: bool = False
    setting: str | None = None
    missing: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether there is no point in starting."""
        return self.fatal and not self.passing


@dataclass(frozen=True, slots=True)
class Known:
    """What the cautions look at.

    Attributes:
        plan: the fine-tune.
        policy: of the dataset version.
        answers: how many rows to learn are taught which set of labels.
        shape: of the base model; None where it is not here.
        workload: None where the base model is not here, or no row can be learned.
        memory: bytes that it takes.
        least_memory: bytes that it takes with rows as small as can be.
    """

    plan: Plan
    policy: Policy
    answers: Mapping[tuple[str, ...], int]
    shape: Shape | None = None
    workload: Workload | None = None
    memory: float | None = None
    least_memory: float | None = None


def cautions(known: Known) -> tuple[Caution, ...]:
    """All that speaks against a fine-tune, what makes it impossible first."""
    found = [
        *_device(known),
        *_memory(known),
        *_sizes(known),
        *_rows(known),
        *_steps(known),
        *_rate(known),
        *_labels(known),
        *_choice(known),
    ]
    return tuple(sorted(found, key=lambda caution: not caution.fatal))


def _device(known: Known) -> Iterator[Caution]:
    if known.plan.config.method == "qlora" and known.plan.device == "cpu" and known.plan.here:
        yield Caution(
            "The method qlora keeps the base model in 4 bits, which needs a GPU, and there is none here.",
            "Choose the method lora.",
            fatal=True,
            setting="method",
        )


def _memory(known: Known) -> Iterator[Caution]:
    free = known.plan.free
    if known.memory is None or known.least_memory is None or known.memory <= free:
        return
    message = f"This takes about {_gigabytes(known.memory)} of memory, and {_gigabytes(free)} are free."
    if known.least_memory > free:
        yield Caution(
            message,
            "Lower the sequence length or the rank, let fewer layers learn, choose the method qlora or a "
            "smaller base model.",
            fatal=True,
            # Another run that holds it now will have ended by then, or it runs on another computer.
            passing=True,
        )
    else:
        yield Caution(message, "Rows are made smaller until they fit, which takes longer.")


def _sizes(known: Known) -> Iterator[Caution]:
    config, shape = known.plan.config, known.shape
    if shape is None:
        return
    if shape.context is not None and config.max_length > shape.context:
        yield Caution(
            f"A sequence length of {config.max_length:,} is more than the base model's {shape.context:,}.",
            f"Set it to {shape.context:,} or less.",
            fatal=True,
            setting="max_length",
        )
    if config.method == "full":
        return
    linears = targeted(shape, config)
    if not linears:
        yield Caution(
            "The LoRA targets match no layer of this base model.",
            "all-linear takes all of them; else name some as they are called there, such as q_proj.",
            fatal=True,
            setting="targets",
        )
        return
    smallest = min(linears, key=lambda linear: min(linear.sides))
    if config.rank > min(smallest.sides):
        yield Caution(
            f"LoRA rank {config.rank} is more than the layer {smallest.name.rsplit('.', 1)[-1]} can use: "
            f"its smaller side is {min(smallest.sides)}.",
            f"Set the rank to {min(smallest.sides)} or less, or leave this layer out of the targets.",
            fatal=True,
            setting="rank",
        )


def _rows(known: Known) -> Iterator[Caution]:
    """Rows that are too long, looked at in the sample."""
    if known.shape is None:
        return
    looked_at = len(known.plan.sample)
    if known.workload is None:
        if looked_at:
            yield Caution(
                "None of the rows can be learned with these settings.",
                "Raise the sequence length, or shorten the policy.",
                fatal=True,
                setting="max_length",
            )
        return
    encoded = known.workload.encoded
    of_rows = "rows" if known.workload.complete else f"{looked_at:,} rows looked at"
    if encoded.refused:
        first = encoded.refused[0]
        yield Caution(
            f"{len(encoded.refused):,} of the {of_rows} cannot be learned: {first.reason}.",
            "They are left out; the run goes on with the rest.",
        )
    shortened = sum(example.shortened for example in encoded.examples)
    if shortened:
        yield Caution(
            f"{shortened:,} of the {of_rows} are longer than the sequence length and lose their middle.",
            "Raise the sequence length if what matters may stand there.",
        )


def _steps(known: Known) -> Iterator[Caution]:
    config, workload, shape = known.plan.config, known.workload, known.shape
    if workload is None or shape is None:
        return
    if config.batch_size > workload.examples:
        yield Caution(
            f"A batch of {config.batch_size:,} is more than the {workload.examples:,} examples there are: "
            "each pass is a single step.",
            "Lower the batch size.",
        )
    if workload.steps < FEW_STEPS:
        yield Caution(
            f"{workload.steps} steps are too few to learn from.",
            "Take more passes over the rows, or a smaller batch.",
        )
        return
    move = config.learning_rate * workload.steps
    # In full fine-tuning all weights together learn at far lower rates; `_rate` looks at those.
    least = LEAST_MOVE if shape.weights < _LARGE else _LEAST_MOVE_LARGE
    if config.method != "full" and move < least:
        yield Caution(
            f"A rate of {config.learning_rate:g} over {workload.steps:,} steps hardly moves the weights.",
            "Raise the learning rate or the number of passes.",
        )


def _rate(known: Known) -> Iterator[Caution]:
    config, shape = known.plan.config, known.shape
    large = shape is not None and shape.weights >= _LARGE
    most = _MOST_RATE_FULL_LARGE if large else MOST_RATE_FULL
    if config.method == "full" and config.learning_rate > most:
        yield Caution(
            f"A learning rate of {config.learning_rate:g} suits LoRA: where all weights learn, it may undo "
            "what the base model knows.",
            f"Set it to about {most / 2:g}: full fine-tuning takes a tenth to a hundredth of LoRA's rate.",
            setting="learning_rate",
        )


def _labels(known: Known) -> Iterator[Caution]:
    present = {code for labels in known.answers for code in labels}
    missing = [category for category in known.policy.categories if category.code not in present]
    if len(known.answers) == 1:
        yield Caution(
            "All rows to learn have the same answer, so there is nothing to tell apart.",
            "Add or review posts with other labels.",
        )
        return
    if missing:
        named = ", ".join(category.name for category in missing[:_LISTED])
        named += " and others" if len(missing) > _LISTED else ""
        yield Caution(
            f"No row to learn is {named}, so the student cannot learn that.",
            "Add or review posts of it.",
            missing=tuple(category.code for category in missing),
        )
    if known.answers and () not in known.answers:
        yield Caution(
            "No row to learn breaks no rule, so the student will see violations everywhere.",
            "Add posts that break no rule.",
        )
    if known.plan.rows < len(known.policy.categories):
        yield Caution(
            f"There are {known.plan.rows} rows for {len(known.policy.categories)} categories.",
            "Review more posts first.",
        )


def _choice(known: Known) -> Iterator[Caution]:
    plan, config, workload = known.plan, known.plan.config, known.workload
    if config.choose == "macro_f1" and plan.validation_rows and not plan.choosing.count:
        yield Caution(
            "Macro-F1 cannot choose the best weights: no validation post has a decision.",
            "Judge some in Review, or let the validation loss choose.",
            fatal=True,
            setting="choose",
        )
    if not plan.validation_rows:
        yield Caution(
            "There are no validation rows: the best moment to stop and the thresholds cannot be found.",
            "Build a dataset version with posts of the validation split.",
        )
    elif workload is not None and config.patience is not None and config.patience >= workload.validations:
        yield Caution(
            f"With {workload.validations} validations a patience of {config.patience} ends no run early.",
            "Lower the patience, or validate more often.",
        )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
