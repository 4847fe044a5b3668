"""What a fine-tune would compute, counted on a sample of its rows; without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.cost import (
    KEPT_SHARE,
    Counts,
    Device,
    Shape,
    answer_nodes,
    counted,
    counted_scoring,
    forward_work,
    learning_layers,
    lower_bytes,
    lower_work,
    padded_tokens,
    steps_in,
    training_work,
)
from training.data import Encoded, Row, encode, epoch_batches
from training.job import Config
from training.prompt import FORMS, Example, Form, Renderer


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
        pairs: posts to learn a preference from, where the settings have that step.
        free: bytes of memory there are.
        device: where it would run.
        here: whether that is this computer, which both are of, or a cluster that is not looked at.
    """

    config: Config
    rows: int
    validation_rows: int
    sample: Sequence[Row]
    choosing: Posts
    sets: Sequence[Posts]
    score_base: bool
    pairs: int
    free: float
    device: Device
    here: bool = True


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
        longest_example: tokens of the longest example, which no smaller row can split.
        kept_tokens: for which the frozen layers' states are kept; 0 where they are not.
        validations: how often validation is taken.
        training, validating, preferring, scoring: floating-point operations of the whole run.
        asking_again: those to score the student once more with a reason first; 0 where it does not learn
            both forms.
        encoded: the sample, tokenised.
        complete: whether the sample is all there is.
    """

    examples: int
    steps: int
    tokens: int
    peer_tokens: int
    learned_tokens: int
    longest_row: int
    longest_example: int
    kept_tokens: int
    validations: int
    training: float
    validating: float
    preferring: float
    scoring: float
    asking_again: float
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
    examples = round(len(found) * plan.rows / len(plan.sample))
    batches = _batches(found, config, complete=complete)
    each = [counted(batch, row_tokens) for batch in batches]
    seen = sum(each, Counts())
    scale = examples / seen.examples
    held_out = plan.validation_rows / len(plan.sample)
    steps = steps_in(examples, config)
    validations = min(config.validations, steps) if plan.validation_rows else 0
    kept_tokens = _kept_tokens(plan, shape, found, examples)
    kept = kept_tokens > 0
    layers = learning_layers(shape, config) if kept else shape.layers
    validating = validations * held_out * forward_work(shape, counted(found, row_tokens), layers)
    once = scale * sum(training_work(shape, config, counts, kept=kept) for counts in each)
    lower = (scale + held_out * len(found) / seen.examples) * lower_work(shape, config, seen) if kept else 0.0
    choosing, sets = _scoring(plan, encoded, renderer, shape, _form(config))
    again = _scoring(plan, encoded, renderer, shape, "reasoned") if config.answers == "both" else ()
    if config.choose == "macro_f1":
        validating += validations * choosing
    return Workload(
        examples=examples,
        steps=steps,
        tokens=round(seen.tokens * scale),
        peer_tokens=round(padded_tokens(batches) * scale),
        learned_tokens=round(seen.states * scale),
        longest_row=max(counts.longest for counts in each),
        longest_example=max(map(len, found)),
        kept_tokens=kept_tokens,
        validations=validations,
        training=config.epochs * once + lower,
        validating=validating,
        preferring=_preferring(plan, once / examples, scale * forward_work(shape, seen) / examples),
        scoring=(1 + plan.score_base + (config.preference is not None)) * (choosing + sets),
        asking_again=sum(again),
        encoded=encoded,
        complete=complete,
    )


def _kept_tokens(plan: Plan, shape: Shape, found: Sequence[Example], examples: int) -> int:
    """Tokens for which the frozen layers' states are kept: all or, where they would take too much, none."""
    own = sum(len(example) - len(example.prefix) for example in found) / len(found)
    tokens = round(own * (examples + plan.validation_rows * len(found) / len(plan.sample)))
    size = lower_bytes(shape, plan.config, tokens, plan.device)
    return tokens if 0 < size <= KEPT_SHARE * plan.free else 0


def _preferring(plan: Plan, training: float, forward: float) -> float:
    """Floating-point operations of the preference step, a side of a pair being about as long as an example.

    Args:
        plan: the fine-tune.
        training, forward: of one example.
    """
    if plan.config.preference is None:
        return 0.0
    # The base model's word on the pairs, and how many are right before the step and after it.
    passes = plan.config.preference.epochs * training + 3 * forward
    return 2 * plan.pairs * passes + plan.validation_rows * forward


def _batches(examples: Sequence[Example], config: Config, *, complete: bool) -> list[list[Example]]:
    """The batches of a first pass; of a sample that is not all there is, only full ones."""
    order = epoch_batches(len(examples), config.batch_size, config.seed, 0)
    batches = [[examples[index] for index in batch] for batch in order]
    full = [batch for batch in batches if len(batch) == config.batch_size]
    return batches if complete or not full else full


def _scoring(
    plan: Plan, encoded: Encoded, renderer: Renderer, shape: Shape, form: Form
) -> tuple[float, float]:
    """Floating-point operations to score once the posts that choose thresholds, and those of the sets.

    A post's tokens are told from its characters, as many to a token as in the sample; a reason that is
    written first is as long as those of the sample.
    """
    prefix, suffix = renderer.frame_ids(form)
    nodes = answer_nodes(renderer, form)
    texts = {row.id: row.text or "" for row in plan.sample}
    characters = sum(len(texts[name]) for name in encoded.ids)
    per_character = sum(len(example.post) for example in encoded.examples) / max(1, characters)
    reason = (encoded.reason_tokens or 0) if form == "reasoned" else 0
    room = plan.config.max_length - len(prefix) - nodes

    def work(posts: Posts) -> float:
        if not posts.count:
            return 0.0
        tail = min(room, round(posts.characters / posts.count * per_character) + len(suffix) + reason)
        return forward_work(shape, counted_scoring(len(prefix), [tail] * posts.count, nodes))

    return work(plan.choosing), sum(map(work, plan.sets))


def _form(config: Config) -> Form:
    """The form in which the student is scored: where it learns both, the direct one."""
    return next((form for form in FORMS if form == config.answers), "direct")
