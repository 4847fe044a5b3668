"""Two models on the same posts: differences, how sure they are, and what follows in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from backend.evaluation.bootstrap import RESAMPLES, bootstrap, interval
from backend.evaluation.few import effective_posts
from backend.evaluation.judged import Bools, Floats, Judged
from backend.evaluation.metrics import ANY_NAME, category_metrics, mean
from backend.evaluation.results import (
    ANY,
    CategoryComparison,
    CategoryMetrics,
    Comparison,
    Difference,
    Differences,
    Interval,
    Metrics,
    ModelRow,
    PostKind,
)
from backend.evaluation.significance import bootstrap_p, holm, mcnemar
from backend.text import things

_MINUS = "\N{MINUS SIGN}"


def differences(a: Judged, b: Judged, *, names: Mapping[str, str], resamples: int = RESAMPLES) -> Differences:
    """Compare two models by a paired bootstrap.

    Args:
        a, b: on the same posts in the same order, over the same categories (`judged.shared`).
        names: the categories' names by code.
        resamples: of the bootstrap.
    """
    of_a, of_b = bootstrap([a, b], resamples=resamples)
    single = [effective_posts(posts, a.clusters) == 1 for posts in (*a.gold.T, a.positive)]

    def apart(figure: str, column: int) -> Floats:
        found: Floats = getattr(of_a, figure)[:, column] - getattr(of_b, figure)[:, column]
        # Whoever finds the one post is ahead in every resample that has it: that tells nothing of others.
        return np.full_like(found, np.nan) if single[column] else found

    metrics_a, metrics_b = _categories(a, names), _categories(b, names)
    any_a, any_b = _any(a), _any(b)
    right_a, right_b = a.right, b.right
    only_a, only_b = _count(right_a & ~right_b), _count(right_b & ~right_a)
    return Differences(
        categories=_by_significance(
            [
                CategoryComparison(
                    code,
                    names[code],
                    metrics_a[column].support,
                    f1=_difference(
                        metrics_a[column].f1,
                        metrics_b[column].f1,
                        apart("f1", column),
                    ),
                    auprc=_difference(
                        metrics_a[column].auprc,
                        metrics_b[column].auprc,
                        apart("auprc", column),
                    ),
                    f1_p=bootstrap_p(apart("f1", column)),
                    only_a_right=_count(right & ~of_other),
                    only_b_right=_count(of_other & ~right),
                )
                for column, (code, right, of_other) in enumerate(
                    zip(a.codes, a.right_in_each.T, b.right_in_each.T, strict=True)
                )
            ]
        ),
        macro_f1=_difference(
            mean([one.f1 for one in metrics_a]),
            mean([one.f1 for one in metrics_b]),
            of_a.macro_f1 - of_b.macro_f1,
        ),
        macro_auprc=_difference(
            mean([one.auprc for one in metrics_a]),
            mean([one.auprc for one in metrics_b]),
            of_a.macro_auprc - of_b.macro_auprc,
        ),
        any_f1=_difference(any_a.f1, any_b.f1, apart("f1", -1)),
        any_auprc=_difference(any_a.auprc, any_b.auprc, apart("auprc", -1)),
        exact_match=_difference(_share(right_a), _share(right_b), of_a.right - of_b.right),
        only_a_right=only_a,
        only_b_right=only_b,
        both_right=_count(right_a & right_b),
        neither_right=_count(~right_a & ~right_b),
        mcnemar_p=mcnemar(only_a, only_b),
        macro_f1_p=bootstrap_p(of_a.macro_f1 - of_b.macro_f1),
        any_f1_p=bootstrap_p(apart("f1", -1)),
    )


def _by_significance(categories: Sequence[CategoryComparison]) -> tuple[CategoryComparison, ...]:
    """The same with p-values for having looked at all of them. One without posts is not looked at."""
    judged = [one.f1.difference is not None for one in categories]
    of_f1 = holm([one.f1_p if there else None for one, there in zip(categories, judged, strict=True)])
    of_right = holm(
        [
            mcnemar(one.only_a_right, one.only_b_right) if there else None
            for one, there in zip(categories, judged, strict=True)
        ]
    )
    return tuple(
        replace(one, f1_p=f1_p, mcnemar_p=mcnemar_p)
        for one, f1_p, mcnemar_p in zip(categories, of_f1, of_right, strict=True)
    )


def _categories(judged: Judged, names: Mapping[str, str]) -> list[CategoryMetrics]:
    return [
        category_metrics(
            code,
            names[code],
            judged.gold[:, column],
            judged.named[:, column],
            None if judged.scores is None else judged.scores[:, column],
            None,
        )
        for column, code in enumerate(judged.codes)
    ]


def _any(judged: Judged) -> CategoryMetrics:
    return category_metrics(ANY, ANY_NAME, judged.positive, judged.flagged, judged.any_scores, None)


def _difference(a: float | None, b: float | None, samples: Floats) -> Difference:
    if a is None or b is None:
        return Difference(a, b, None, None, None)
    span = interval(samples)
    return Difference(a, b, a - b, span.low if span else None, span.high if span else None)


def posts_of(kind: PostKind, here: Judged, there: Judged) -> Bools:
    """(n,) which posts are of a kind that compares; arguments as for `differences`."""
    right_here, right_there = here.right, there.right
    if kind is PostKind.ONLY_RIGHT_HERE:
        return right_here & ~right_there
    if kind is PostKind.ONLY_RIGHT_THERE:
        return right_there & ~right_here
    if kind is PostKind.BOTH_WRONG:
        return ~right_here & ~right_there
    return right_here ^ right_there


def _share(posts: Bools) -> float | None:
    return float(posts.mean()) if len(posts) else None


def _count(posts: Bools) -> int:
    return int(np.count_nonzero(posts))


def left_out(metrics: Metrics, common: Judged) -> tuple[str, ...]:
    """Sentences on what a comparison leaves out of a set.

    Args:
        metrics: of one of the two models.
        common: what both were judged on.
    """
    notes = []
    absent = [one.name for one in metrics.categories if one.code not in common.codes]
    if absent:
        notes.append(f"Not compared, because not both could be judged on it: {', '.join(absent)}.")
    if len(common) < metrics.of:
        notes.append(f"Compared on the {len(common):,} of {metrics.of:,} posts that both were judged on.")
    return tuple(notes)


def other_aims(a: Metrics, b: Metrics) -> tuple[str, ...]:
    """That two models' thresholds were chosen for different things, where they were."""
    if not a.macro.auprc or not b.macro.auprc or a.thresholds_for == b.thresholds_for:
        return ()
    return (
        f"Their thresholds were chosen for different things ({a.thresholds_for}, {b.thresholds_for}), "
        "so F1 says little here; AUPRC does not depend on thresholds.",
    )


def only_any(a: Metrics, b: Metrics, common: Judged) -> tuple[str, ...]:
    """That right means less here than for one of the two alone, where the other knows no categories."""
    if common.codes or not (a.codes or b.codes):
        return ()
    return (
        "One of the two knows no categories, so right means here that any violation is told rightly, "
        "whichever it is.",
    )


def single_posts(categories: Sequence[CategoryComparison]) -> tuple[str, ...]:
    """That of some categories no difference can be told, where there are any."""
    named = [
        one.name for one in categories if one.support and one.f1.difference is not None and one.f1.low is None
    ]
    if not named:
        return ()
    return (
        f"A single post, or one and its near-duplicates, has {_listed(named)}: too few to tell a difference.",
    )


def sentence(a_name: str, b_name: str, found: Differences) -> str:
    """What follows, for people: overall first, then the categories that differ, all of them looked at.

    Args:
        a_name, b_name: as they stand inside a sentence ("run 2", "the base model").
    """
    figure, overall = found.headline
    if overall.difference is None:
        return "There is nothing to compare: there is no post that both were judged on."
    in_numbers = f"{figure} {span_text(overall)}"
    if overall.clear:
        word = "better" if overall.difference > 0 else "worse"
        start = f"{a_name} is {word} than {b_name} ({in_numbers})"
    else:
        start = f"no clear difference overall between {a_name} and {b_name} ({in_numbers})"
    return f"{start[0].upper()}{start[1:]}{_by_category(found.categories)}."


def yardstick(rows: Sequence[ModelRow]) -> str | None:
    """What needs no model, beside a set's table; None where no model was judged on the whole set."""
    whole = next((row for row in rows if 0 < row.posts == row.of), None)
    return None if whole is None else yardstick_sentence(whole.posts, whole.violations)


def yardstick_sentence(posts: int, violations: int) -> str:
    """What a model that says the same of every post would come to, so that figures are seen beside it.

    Args:
        posts: of a set, one at least.
        violations: how many of them break a rule.
    """
    said = []
    if violations:
        flagged = share_text(2 * violations / (posts + violations))
        said.append(f"flag every post and F1 on any violation is {flagged}")
    if violations < posts:
        said.append(f"pass every post and {1 - violations / posts:.0%} are all right")
    return f"What needs no model: {'; '.join(said)}."


def regression_sentence(name: str, found: Comparison) -> str:
    """Whether a student earns its keep: what follows from it (a) beside logistic regression (b).

    Args:
        name: the student's, as it stands inside a sentence.
    """
    figure, overall = found.headline
    if overall.difference is None:
        return "Beside logistic regression there is nothing to compare."
    start = f"{name[0].upper()}{name[1:]}"
    version = found.b_name.partition(", ")[2]
    same = f"the same posts, those of dataset {version}" if version else "the same posts"
    beside = f"logistic regression taught {same} ({figure} {span_text(overall)})"
    if not overall.clear:
        return f"{start} does not beat {beside}: no clear difference."
    return f"{start} beats {beside}." if overall.difference > 0 else f"{start} is worse than {beside}."


def _by_category(categories: Sequence[CategoryComparison]) -> str:
    judged = [category for category in categories if category.f1.difference is not None]
    clear = [category for category in judged if category.clear]
    if not judged:
        return ""
    if not clear:
        return "; no clear difference in any one category"
    parts = []
    for word, up in (("better", True), ("worse", False)):
        named = [one for one in clear if ((one.f1.difference or 0) > 0) is up]
        if named:
            parts.append(f"{word} on {_listed([f'{one.name} ({span_text(one.f1)})' for one in named])}")
    rest = "; no clear difference elsewhere" if len(clear) < len(judged) else ""
    return f": {', '.join(parts)}{rest}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def span_text(difference: Difference) -> str:
    """A difference with its interval: "+.07, .03 to .12"."""
    if difference.difference is None:
        return "–"
    text = share_text(difference.difference, signed=True)
    if difference.low is None or difference.high is None:
        return text
    return f"{text}, {share_text(difference.low)} to {share_text(difference.high)}"


def with_interval(value: float | None, interval: Interval | None) -> str:
    """A measure and its interval: .71 (.65 to .77)."""
    if interval is None:
        return share_text(value)
    return f"{share_text(value)} ({share_text(interval.low)} to {share_text(interval.high)})"


def invalid_sentence(metrics: Metrics) -> str | None:
    """How much of what a model says is no answer; None for one that cannot but answer."""
    said = []
    if metrics.invalid is not None:
        said.append(
            f"{metrics.invalid:.1%} of the probability goes to answers that are no set of the policy's "
            "categories"
        )
    if metrics.unreadable or metrics.reasons is not None:
        said.append(f"{things(metrics.unreadable, 'answer')} could not be read")
    return f"Invalid answers: {'; '.join(said)}." if said else None


def p_text(value: float | None) -> str:
    """A chance in three places: ".034", "<.001"; "–" where there is none."""
    if value is None:
        return "–"
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def percent_text(value: float | None) -> str:
    """A share of posts: "52%"; "–" where there is none."""
    return "–" if value is None else f"{value:.0%}"


def share_text(value: float | None, *, signed: bool = False) -> str:
    """A figure between -1 and 1 in two places: ".71", "+.07", "±.00", "1.00"; "–" where there is none."""
    if value is None:
        return "–"
    rounded = round(value, 2)
    if rounded < 0:
        sign = _MINUS
    elif signed:
        sign = "+" if rounded > 0 else "±"
    else:
        sign = ""
    digits = f"{abs(rounded):.2f}"
    return sign + (digits[1:] if digits.startswith("0.") else digits)
