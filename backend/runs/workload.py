"""What a fine-tune would compute, counted on a sample of its rows; without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.cost import (
    Counts,
    Shape,
    answer_nodes,
    counted,
    counted_scoring,
    forward_work,
    padded_tokens,
    steps_in,
    training_work,
)
from training.data import Encoded, Row, encode, epoch_batches
from training.job import Config
from training.job import Job as TrainerJob
from training.prompt import FORMS, Example, Form, Renderer

_MAX_LABELS: int = TrainerJob.model_fields["max_labels"].default


@dataclass(frozen=True, slots=True)
class Posts:
    """Posts to score: how many, and how many characters in all."""

    count: int
    characters: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A fine-tune as it would be started.

    Attributes:
        rows, validation_rows: of the dataset version.
        sample: some of the rows to learn, or all of them.
        choosing: the posts that thresholds are chosen on.
        sets: the posts of each evaluation set.
        score_base: whether the base model is scored, too.
    """

    config: Config
    rows: int
    validation_rows: int
    sample: Sequence[Row]
    choosing: Posts
    sets: Sequence[Posts]
    score_base: bool


@dataclass(frozen=True, slots=True)
class Workload:
    """What there is to compute. Tokens are those of one pass over the rows.

    Attributes:
        examples: in one pass.
        steps: of the whole run.
        tokens: that are computed, packed behind their policies.
        peer_tokens: that are computed where each example stands alone, padded to its batch's longest.
        learned_tokens: that the loss counts.
        longest_row: tokens of the longest packed row.
        validations: how often validation is taken.
        training, validating, scoring: floating-point operations of the whole run.
        encoded: the sample, tokenised.
        complete: whether the sample is all there is.
    """

    examples: int
    steps: int
    tokens: int
    peer_tokens: int
    learned_tokens: int
    longest_row: int
    validations: int
    training: float
    validating: float
    scoring: float
    encoded: Encoded
    complete: bool


def workload(plan: Plan, renderer: Renderer, shape: Shape, row_tokens: int) -> Workload | None:
    """Count a fine-tune; None where no row of the sample can be learned.

    Args:
        plan: the fine-tune.
        renderer: of its base model and policy.
        shape: of its base model.
        row_tokens: the budget of a packed row.
    """
    config = plan.config
    encoded = encode(plan.sample, renderer, config.answers, config.max_length)
    found = encoded.examples
    if not found:
        return None
    complete = len(plan.sample) >= plan.rows
    share = plan.rows / len(plan.sample)
    examples = round(len(found) * share)
    batches = _batches(found, config, complete=complete)
    each = [counted(batch, row_tokens) for batch in batches]
    seen = sum(each, Counts())
    scale = examples / seen.examples
    steps = steps_in(examples, config)
    validations = min(config.validations, steps) if plan.validation_rows else 0
    once = forward_work(shape, counted(found, row_tokens)) * plan.validation_rows / len(plan.sample)
    choosing, sets = _scoring(plan, encoded, renderer, shape)
    if config.choose == "macro_f1":
        once += choosing
    return Workload(
        examples=examples,
        steps=steps,
        tokens=round(seen.tokens * scale),
        peer_tokens=round(padded_tokens(batches) * scale),
        learned_tokens=round(seen.states * scale),
        longest_row=max(counts.longest for counts in each),
        validations=validations,
        training=config.epochs * scale * sum(training_work(shape, config, counts) for counts in each),
        validating=validations * once,
        scoring=(1 + plan.score_base) * (choosing + sets),
        encoded=encoded,
        complete=complete,
    )


def _batches(examples: Sequence[Example], config: Config, *, complete: bool) -> list[list[Example]]:
    """The batches of a first pass; of a sample that is not all there is, only full ones."""
    order = epoch_batches(len(examples), config.batch_size, config.seed, 0)
    batches = [[examples[index] for index in batch] for batch in order]
    full = [batch for batch in batches if len(batch) == config.batch_size]
    return batches if complete or not full else full


def _scoring(plan: Plan, encoded: Encoded, renderer: Renderer, shape: Shape) -> tuple[float, float]:
    """Floating-point operations to score once the posts that choose thresholds, and those of the sets.

    A post's tokens are told from its characters, as many to a token as in the sample.
    """
    form = _form(plan.config)
    prefix, suffix = renderer.frame_ids(form)
    nodes = answer_nodes(renderer, form, _MAX_LABELS)
    texts = {row.id: row.text or "" for row in plan.sample}
    characters = sum(len(texts[name]) for name in encoded.ids)
    per_character = sum(len(example.post) for example in encoded.examples) / max(1, characters)
    room = plan.config.max_length - len(prefix) - nodes

    def work(posts: Posts) -> float:
        if not posts.count:
            return 0.0
        tail = min(room, round(posts.characters / posts.count * per_character) + len(suffix))
        return forward_work(shape, counted_scoring(len(prefix), [tail] * posts.count, nodes))

    return work(plan.choosing), sum(map(work, plan.sets))


def _form(config: Config) -> Form:
    """The form in which the student is scored: where it learns both, the direct one."""
    return next((form for form in FORMS if form == config.answers), "direct")
