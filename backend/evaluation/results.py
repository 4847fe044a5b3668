"""What the room hands out: figures, tables, comparisons and the posts behind them.

A figure that cannot be had is None and is shown as "–"; it is never a 0. A `note` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backend.db.models.curation import Handling
from backend.db.models.evaluation import ModelKind, Outcome

ANY = "*"
"""Stands for "any violation" where a category's code would stand; no code can be this."""


class PostKind(StrEnum):
    """Which posts of an evaluation to show. Those after RIGHT need a second evaluation."""

    ALL = "all"
    WRONG = "wrong"
    FALSE_ALARM = "false-alarm"
    MISSED = "missed"
    OTHER_LABELS = "other-labels"
    RIGHT = "right"
    ONLY_RIGHT_HERE = "only-right-here"
    ONLY_RIGHT_THERE = "only-right-there"
    BOTH_WRONG = "both-wrong"
    DIFFER = "differ"


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95% interval (bootstrap, percentile)."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CategoryMetrics:
    """How one category was judged.

    Attributes:
        support: posts that have it.
        predicted: posts that the model gave it to.
        hits: posts that have it and were given it.
        auprc: average precision; None for a model without probabilities.
        auroc: the chance that a post that has it scores higher than one that has not.
        brier: the mean squared distance of the probability from the truth; 0 is best.
        calibration_error: expected calibration error, see `calibration.expected_error`; 0 is best.
        scaled_brier, scaled_calibration_error: the same of scores at the model's temperature.
        threshold: the score from which on it is given; None for a model without probabilities, and
            for any violation where a post is flagged because any category is.
        note: why a figure is missing or says little.
    """

    code: str
    name: str
    support: int
    predicted: int
    hits: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    auprc: float | None = None
    auroc: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    scaled_brier: float | None = None
    scaled_calibration_error: float | None = None
    threshold: float | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None
    auprc_interval: Interval | None = None
    auroc_interval: Interval | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Averages:
    """Figures over all categories. AUPRC is averaged over categories only, never pooled."""

    precision: float | None
    recall: float | None
    f1: float | None
    auprc: float | None = None
    auroc: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None
    auprc_interval: Interval | None = None
    auroc_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Alone:
    """What a model would decide without a person, at cuts chosen on validation posts.

    Attributes:
        wanted: the share of right decisions that was asked for on either side.
        low, high: posts below `low` pass, from `high` on they are violations; a person sees the others.
        share: of the posts that it would decide.
        right: of these, how many rightly; None where it would decide none.
        share_interval, right_interval: None for evaluations that were stored without them.
    """

    wanted: float
    low: float
    high: float
    share: float
    right: float | None
    share_interval: Interval | None = None
    right_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Reasons:
    """What a model's reasons are worth, told from the text alone.

    Attributes:
        reasons: posts with one.
        quoting: the share of them that quote something as harmful.
        faithful: the share that quote, and quote nothing that is not in the post.
        agreeing: the share whose verdict is the result that counts, an answer that could not be read
            counting as one that does not agree; None where none comes to a verdict.
        words: of a reason, the median.
        unreadable: answers that could not be read, in number; None where nobody counted.
    """

    reasons: int
    quoting: float
    faithful: float
    agreeing: float | None
    words: float
    unreadable: int | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Everything that is stored of one evaluation.

    Attributes:
        posts: posts judged.
        of: posts in the set; more than `posts` where a teacher did not answer them all.
        unreadable: answers that could not be read: a teacher's, or those that a student wrote, which its
            probabilities do not depend on.
        codes: the categories that could be judged; none in a yes/no set.
        categories: all of the set, those that could not be judged with a note and no figures.
        macro: means over the categories that have posts.
        micro: from the pooled counts of all categories.
        any_violation: whether a post breaks any rule, as a category of its own.
        exact_match: share of posts with exactly the right categories (yes/no set: the right answer).
        confusion: what stands (rows) by what the model said (columns); `codes` in order,
            then "none". See `metrics.confusion` for posts with several categories.
        notes: sentences on what was left out.
        duplicates: keys of posts that are near-duplicates of each other; intervals draw them together.
        leaked: keys of posts that nearly repeat posts that the model learned from.
        alone: what it would decide without a person, by the share of right decisions that is
            asked for; nothing for a model without probabilities.
        thresholds_for: what the thresholds were chosen for (`training.thresholds.Aim`).
        temperature: by which logits are divided so that probabilities mean what they say, fitted on
            validation posts; None where these could not tell it.
        reasons: of a model that gave any.
        invalid: the probability that it gives to answers that are no set of the policy's categories,
            the mean over the posts; None for a model that cannot give any.
        unread: keys of posts that are judged wrong because the answer could not be read.
    """

    posts: int
    of: int
    unreadable: int
    codes: tuple[str, ...]
    categories: tuple[CategoryMetrics, ...]
    macro: Averages
    micro: Averages
    any_violation: CategoryMetrics
    exact_match: float | None
    confusion: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...] = ()
    duplicates: tuple[tuple[int, ...], ...] = ()
    leaked: tuple[int, ...] = ()
    alone: tuple[Alone, ...] = ()
    thresholds_for: str = "f1"
    temperature: float | None = None
    reasons: Reasons | None = None
    exact_match_interval: Interval | None = None
    invalid: float | None = None
    unread: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """A precision-recall curve, recall rising, thinned for drawing. `code` may be ANY."""

    code: str
    name: str
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a model's probabilities are worth, in bins that rise. `code` may be ANY.

    Attributes:
        said: the mean probability that the model gave the posts of each bin.
        having: the share of them that have the category.
        posts: how many they are.
    """

    code: str
    name: str
    said: tuple[float, ...]
    having: tuple[float, ...]
    posts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Learned:
    """What a student learned from: the number of a dataset version and its handling, under a seed."""

    version: int
    handling: Handling
    seed: int


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model's line in a set's table: its newest evaluation on it.

    `inference` is how it was asked, "direct" or "reasoned"; None as it is asked by itself, which is
    for the label only where it was taught `both`. `violations` of the posts break a rule; of the others
    it flags the share `false_alarms`, None where there are none. `learned` is a run's.
    """

    evaluation_id: int
    set_id: int
    kind: ModelKind
    name: str
    model: str
    run_id: int | None
    champion: bool
    posts: int
    of: int
    macro_f1: float | None
    macro_f1_interval: Interval | None
    micro_f1: float | None
    macro_auprc: float | None
    macro_auprc_interval: Interval | None
    any_f1: float | None
    any_f1_interval: Interval | None
    any_auprc: float | None
    exact_match: float | None
    violations: int
    false_alarms: float | None
    created_at: datetime
    inference: str | None = None
    both: bool = False
    learned: Learned | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One evaluation in full. `scaled_reliability` is of the scores at the model's temperature."""

    evaluation_id: int
    set_id: int
    set_name: str
    set_number: int
    yes_no: bool
    kind: ModelKind
    name: str
    model: str
    run_id: int | None
    policy_version_id: int
    metrics: Metrics
    curves: tuple[Curve, ...]
    reliability: tuple[Reliability, ...]
    scaled_reliability: tuple[Reliability, ...]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of two models on the same posts. `difference` is a minus b.

    The interval is of the difference, from a paired bootstrap.
    """

    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


SIGNIFICANCE = 0.05
"""From which chance on of being wrong a difference is not called one."""


@dataclass(frozen=True, slots=True)
class CategoryComparison:
    """One category under two models.

    Attributes:
        support: posts that have it.
        f1_p: of no difference in F1, from the paired bootstrap, after Holm over the categories.
        only_a_right, only_b_right: posts on which only one of the two has this category right.
        mcnemar_p: of the two being right as often, exact, after Holm over the categories.
    """

    code: str
    name: str
    support: int
    f1: Difference
    auprc: Difference
    f1_p: float | None = None
    only_a_right: int = 0
    only_b_right: int = 0
    mcnemar_p: float | None = None

    @property
    def clear(self) -> bool:
        """Whether F1 differs, all categories being looked at."""
        return self.f1_p is not None and self.f1_p < SIGNIFICANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What a model (a) gains over another (b), over the categories that both know.

    Attributes:
        exact_match: the share of posts of which all is right.
        only_a_right, only_b_right, both_right, neither_right: posts by who had all of it right.
        mcnemar_p: of the two having all right as often (exact McNemar test).
        macro_f1_p, any_f1_p: of no difference, from the paired bootstrap.
    """

    categories: tuple[CategoryComparison, ...]
    macro_f1: Difference
    macro_auprc: Difference
    any_f1: Difference
    any_auprc: Difference
    exact_match: Difference
    only_a_right: int
    only_b_right: int
    both_right: int
    neither_right: int
    mcnemar_p: float
    macro_f1_p: float | None = None
    any_f1_p: float | None = None

    @property
    def headline(self) -> tuple[str, Difference]:
        """What the two are told apart by, by name.

        Macro-F1 or, where they share no category, F1 on any violation. Where no post is a violation
        there is neither, and it is the share of posts that are all right.
        """
        f1 = ("macro-F1", self.macro_f1) if self.categories else ("F1 on any violation", self.any_f1)
        return ("posts all right", self.exact_match) if f1[1].difference is None else f1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Differences):
    """Two models on the posts that both were judged on.

    Attributes:
        posts: how many these are.
        sentence: what follows, in plain words.
    """

    a_id: int
    b_id: int
    a_name: str
    b_name: str
    set_id: int
    posts: int
    sentence: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gain:
    """What one step of a run's training brought on a set: the run (a) beside itself before that step (b).

    Attributes:
        set_number: which version of the set it was.
        posts: posts judged.
        sentence: what follows, in plain words.
    """

    set_id: int
    set_name: str
    set_number: int
    posts: int
    macro_f1: Difference
    macro_auprc: Difference
    any_f1: Difference
    any_auprc: Difference
    sentence: str


@dataclass(frozen=True, slots=True)
class PostRow:
    """A post of a set beside what a model said of it.

    `text` is at most the first 2,000 characters. `scores` are by category code;
    `any_score` is the probability of any violation. `flagged` is the model's yes or no. `unread` is
    whether what it said could not be read, `waits` whether the post waits in review.
    """

    row_id: int
    item_id: int | None
    external_id: str
    text: str
    labels: tuple[str, ...]
    positive: bool
    predicted: tuple[str, ...]
    flagged: bool
    scores: dict[str, float] | None
    any_score: float | None
    outcome: Outcome
    other_predicted: tuple[str, ...] | None = None
    other_flagged: bool | None = None
    unread: bool = False
    other_unread: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class PostPage:
    """Some posts, and the key to ask for the next with; None at the end."""

    rows: tuple[PostRow, ...]
    next_after: int | None
