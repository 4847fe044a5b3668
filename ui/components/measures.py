"""How good one model is, or two beside each other: charts and tables of their figures."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from markupsafe import Markup

from backend.evaluation.comparison import invalid_sentence
from backend.evaluation.results import (
    ANY,
    Alone,
    CategoryMetrics,
    Interval,
    Metrics,
    Report,
)
from training.thresholds import Aim
from ui.components import figures, numbers, plots, text
from ui.components.labels import NO_VIOLATION, Looks

_NOTHING_ELSE = "nothing (else)"
_BY_CATEGORIES = "Any violation is flagged where any category is"


def notes(report: Report) -> None:
    """What is to be known of a model's figures before they are believed."""
    name = text.label(report.name)
    for note in report.metrics.notes:
        st.caption(f"{name}: {text.label(note)}")


def bars(reports: Sequence[Report]) -> None:
    """F1 of each category under each of the models, with intervals."""
    models = _named(reports)
    rows = [
        {
            "category": _with_support(category),
            "support": category.support,
            "model": model.name,
            "value": category.f1,
            "low": category.f1_interval.low if category.f1_interval else None,
            "high": category.f1_interval.high if category.f1_interval else None,
        }
        for report, model in zip(reports, models, strict=True)
        for category in (*report.metrics.categories, report.metrics.any_violation)
        if category.f1 is not None
    ]
    if not rows:
        st.caption("No post of this set is a violation, so there is nothing to find and no F1.")
        return
    st.caption("In brackets how many posts have it; the line is the 95% interval.")
    frame = pd.DataFrame(rows).astype({"low": "float64", "high": "float64"})
    st.altair_chart(plots.by_category(frame, models, measure="F1"), width="stretch")


def curves(reports: Sequence[Report], looks: Looks) -> None:
    """Precision-recall curves of one category, with the point that each threshold chose."""
    having = [report for report in reports if report.curves]
    codes = list(dict.fromkeys(curve.code for report in having for curve in report.curves))
    if not codes:
        st.caption(_no_curve(reports))
        return
    codes.sort(key=lambda code: code != ANY)
    chosen = st.selectbox(
        "Category",
        codes,
        format_func=lambda code: "Any violation" if code == ANY else looks.name(code),
        key="curve-category",
        label_visibility="collapsed",
    )
    models = _named(reports)
    lines, points = _curve_frames(reports, models, chosen)
    st.altair_chart(plots.precision_recall(lines, points, models), width="stretch")
    if points["threshold"].notna().any():
        st.caption("The dot is the threshold, chosen on validation posts.")
    dotless = [
        model.name
        for report, model in zip(reports, models, strict=True)
        if report.curves and chosen == ANY and _any_by_categories(report)
    ]
    if dotless:
        whose = "" if len(dotless) == len(having) else f" of {dotless[0]}"
        st.caption(f"{_BY_CATEGORIES}, so no one threshold has a place on the curve{whose}.")
    without = [model.name for report, model in zip(reports, models, strict=True) if not report.curves]
    if without:
        st.caption(f"{' and '.join(without)} gives no probabilities: one point, no curve.")


def _no_curve(reports: Sequence[Report]) -> str:
    if not any(report.reliability for report in reports):
        return "The teacher gives no probabilities, so it has no curve."
    here = "every post" if reports[0].metrics.any_violation.support else "no post"
    return f"A curve needs violations and harmless posts; here {here} is a violation."


def reliability(reports: Sequence[Report], looks: Looks) -> None:
    """How often posts have a category, of those that a model gives about the same probability."""
    if not any(report.reliability for report in reports):
        st.caption("The teacher gives no probabilities.")
        return
    codes = list(
        dict.fromkeys(
            one.code
            for report in reports
            for one in report.reliability
            if (of := _category(report.metrics, one.code)) is not None and of.brier is not None
        )
    )
    if not codes:
        st.caption("No post of this set is a violation, so there is nothing that could come true.")
        return
    codes.sort(key=lambda code: code != ANY)
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.selectbox(
            "Category of the reliability diagram",
            codes,
            format_func=lambda code: "Any violation" if code == ANY else looks.name(code),
            key="reliability-category",
            label_visibility="collapsed",
            width=260,
        )
        at_temperature = st.toggle(
            "With temperature scaling",
            key="reliability-scaled",
            help="All of a model's logits are divided by one number, fitted on validation posts. The order "
            "of posts stays, and with it AUPRC and what the thresholds decide.",
        )
    models = _named(reports)
    bins = [
        (model.name, *one_bin)
        for report, model in zip(reports, models, strict=True)
        for one in (report.scaled_reliability if at_temperature else report.reliability)
        if one.code == chosen
        for one_bin in zip(one.said, one.having, one.posts, strict=True)
    ]
    frame = pd.DataFrame(bins, columns=["model", "said", "having", "posts"])
    # The table has seven columns, the last of which must not be cut off.
    diagram, table = st.columns((2, 3), gap="medium")
    with diagram:
        st.altair_chart(plots.reliability(frame, models), width="stretch")
        st.caption(
            "On the line a probability means what it says; below it fewer posts have the category than were "
            "promised, above it more. Larger dots stand for more posts."
        )
    with table:
        text.show(_calibration(reports, chosen))
        st.caption(
            "Brier score: mean squared error. ECE: expected calibration error. Of both 0 is best. Invalid: "
            "the probability that goes to answers that are no set of the policy's categories."
        )


def _calibration(reports: Sequence[Report], code: str) -> Markup:
    """Brier score and calibration error of one category, as the scores are and at the temperature."""
    found = [(report, _category(report.metrics, code)) for report in reports]
    rows = [
        (
            text.literal(report.name),
            *(numbers.score(value) for value in (of.brier, of.calibration_error)),
            *(numbers.score(value) for value in (of.scaled_brier, of.scaled_calibration_error)),
            "–" if report.metrics.temperature is None else f"{report.metrics.temperature:.2f}",
            "–" if report.metrics.invalid is None else f"{report.metrics.invalid:.1%}",
        )
        for report, of in found
        if of is not None and of.brier is not None
    ]
    heads = ["", "Brier", "ECE", "Brier, scaled", "ECE, scaled", "Temperature", "Invalid"]
    return figures.table(heads, rows, numbers=range(1, len(heads)), narrow=True)


def alone(reports: Sequence[Report]) -> None:
    """What each model would decide without a person, by how often that has to be right."""
    found = {one.wanted: one for report in reports for one in report.metrics.alone}
    if not found:
        st.caption("Without probabilities no post can be told to be sure.")
        return
    rows = [
        (f"{wanted:.0%}", *(_decided(report.metrics.alone, wanted) for report in reports))
        for wanted in sorted(found)
    ]
    heads = ["Wanted right, on either side", *(report.name for report in reports)]
    text.show(figures.table(heads, rows, narrow=True))
    st.caption(
        "Where the probability of any violation is high enough a post is a violation, where it is low "
        "enough it passes, and a person decides the others. Both limits are chosen on validation posts; "
        "the figures are of this set, in brackets their 95% interval. Rightly: as a violation or as none, "
        "whichever the category."
    )


def _decided(bands: Sequence[Alone], wanted: float) -> str:
    found = next((one for one in bands if one.wanted == wanted), None)
    if found is None:
        return "–"
    if found.right is None:
        return "none"
    share, right = _percent(found.share, found.share_interval), _percent(found.right, found.right_interval)
    said = f"{share} of posts, {right} of them rightly"
    if found.right >= wanted:
        return said
    clearly = found.right_interval is not None and found.right_interval.high < wanted
    return f"{said}: {'clearly ' if clearly else ''}less than wanted"


def _percent(share: float, span: Interval | None) -> str:
    """A share with its interval: "23% (18 to 29)"."""
    return f"{share:.0%}" + (f" ({100 * span.low:.0f} to {100 * span.high:.0f})" if span else "")


def reasons(reports: Sequence[Report]) -> None:
    """What the reasons are worth of those models that give any."""
    rows = [
        (
            text.literal(report.name),
            numbers.count(found.reasons),
            f"{found.quoting:.0%}",
            f"{found.faithful:.0%}",
            "–" if found.agreeing is None else f"{found.agreeing:.0%}",
            f"{found.words:.0f}",
            numbers.count(found.unreadable),
        )
        for report in reports
        if (found := report.metrics.reasons) is not None
    ]
    heads = ["", "Reasons", "Quote the post", "Quote it rightly", "Verdict agrees", "Words", "Unreadable"]
    text.show(figures.table(heads, rows, numbers=range(1, len(heads)), narrow=True))
    st.caption(
        "Quote it rightly: of all reasons, those that quote and quote nothing that the post does not say. "
        "Verdict agrees: of a teacher, that it quotes something harmful just where its labels are a "
        "violation; of a student, that the labels it wrote behind the reason are exactly those that its "
        "probabilities give; an answer that could not be read does not agree. "
        "Words: half of the reasons have fewer. Unreadable: answers from which no labels could be read."
    )


def several_categories(reports: Sequence[Report]) -> None:
    """How a confusion counts posts with several categories, where one of these does."""
    if any(_several(report.metrics) for report in reports):
        st.caption(
            f"A post with several categories on either side counts for each of them; “{_NOTHING_ELSE}” is no "
            "violation, or nothing beside what people and model both say."
        )


def _several(metrics: Metrics) -> bool:
    """Whether a post counts more than once in the confusion, in which some unreadable answers are not."""
    return sum(map(sum, metrics.confusion)) > metrics.posts - metrics.unreadable


def confusion(report: Report) -> None:
    """What stands by what the model said, as a heat map."""
    metrics = report.metrics
    if not metrics.confusion:
        text.show(figures.heat_map(["violation", NO_VIOLATION], _yes_and_no(metrics)))
        return
    names = {category.code: category.name for category in metrics.categories}
    rest = _NOTHING_ELSE if _several(metrics) else NO_VIOLATION
    text.show(figures.heat_map([*(names[code] for code in metrics.codes), rest], metrics.confusion))


def _yes_and_no(metrics: Metrics) -> Sequence[Sequence[int]]:
    found = metrics.any_violation
    missed, alarms = found.support - found.hits, found.predicted - found.hits
    return (found.hits, missed), (alarms, metrics.posts - found.support - alarms)


def category_table(report: Report, looks: Looks) -> None:
    """All figures of one model by category."""
    rows: list[Sequence[str | Markup]] = [
        (
            Markup("Any violation") if category.code == ANY else looks.chip(category.code),
            numbers.count(category.support),
            figures.with_interval(category.precision, category.precision_interval),
            figures.with_interval(category.recall, category.recall_interval),
            figures.with_interval(category.f1, category.f1_interval),
            figures.with_interval(category.auprc, category.auprc_interval),
            figures.with_interval(category.auroc, category.auroc_interval),
            numbers.score(category.threshold),
        )
        for category in (*report.metrics.categories, report.metrics.any_violation)
    ]
    rows += _averages(report.metrics)
    heads = ["Category", "Posts", "Precision", "Recall", "F1", "AUPRC", "AUROC", "Threshold"]
    text.show(figures.table(heads, rows, numbers=(1, 7)))
    st.caption(_all_right(report))
    if _thresholds(report):
        st.caption(f"The thresholds were chosen on validation posts for {_aim(report.metrics)}.")
    if _any_by_categories(report):
        st.caption(f"{_BY_CATEGORIES}; it has no threshold of its own.")
    if invalid := invalid_sentence(report.metrics):
        st.caption(text.label(invalid))
    noted = [(category.name, category.note) for category in report.metrics.categories if category.note]
    for name, note in noted:
        st.caption(f"{text.label(name)}: {text.label(note)}")


def _any_by_categories(report: Report) -> bool:
    """Whether a model has thresholds, but none for any violation."""
    return report.metrics.any_violation.threshold is None and bool(_thresholds(report))


def _thresholds(report: Report) -> list[float]:
    """Those that decided what the model says."""
    judged = (*report.metrics.categories, report.metrics.any_violation)
    return [one.threshold for one in judged if one.threshold is not None]


def _all_right(report: Report) -> str:
    found, span = report.metrics.exact_match, report.metrics.exact_match_interval
    what = "with the right answer" if report.yes_no else "with exactly the right categories"
    between = f" (95% interval {span.low:.1%}–{span.high:.1%})" if span else ""
    return f"Posts {what}: {'–' if found is None else f'{found:.1%}'}{between}."


def _aim(metrics: Metrics) -> str:
    return Aim.read(metrics.thresholds_for).in_words


def _averages(metrics: Metrics) -> list[Sequence[str | Markup]]:
    if not metrics.codes:
        return []
    return [
        (
            name,
            "",
            figures.with_interval(average.precision, average.precision_interval),
            figures.with_interval(average.recall, average.recall_interval),
            figures.with_interval(average.f1, average.f1_interval),
            figures.with_interval(average.auprc, average.auprc_interval),
            figures.with_interval(average.auroc, average.auroc_interval),
            "",
        )
        for name, average in (("Macro", metrics.macro), ("Micro", metrics.micro))
    ]


def _curve_frames(
    reports: Sequence[Report], models: Sequence[plots.Named], code: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["model", "recall", "precision", "threshold"]
    lines, points = [], []
    for report, model in zip(reports, models, strict=True):
        for curve in report.curves:
            if curve.code == code:
                steps = zip(curve.recall, curve.precision, curve.thresholds, strict=True)
                lines += [(model.name, *step) for step in steps]
        category = _category(report.metrics, code)
        # A model with a curve has a point on it only where one threshold decided.
        if category is None or (report.curves and category.threshold is None):
            continue
        if category.precision is not None and category.recall is not None:
            points.append((model.name, category.recall, category.precision, category.threshold))
    return pd.DataFrame(lines, columns=columns), pd.DataFrame(points, columns=columns)


def _category(metrics: Metrics, code: str) -> CategoryMetrics | None:
    if code == ANY:
        return metrics.any_violation
    return next((category for category in metrics.categories if category.code == code), None)


def _named(reports: Sequence[Report]) -> list[plots.Named]:
    colours = (plots.FIRST, plots.SECOND)
    return [plots.Named(report.name, colour) for report, colour in zip(reports, colours, strict=False)]


def _with_support(category: CategoryMetrics) -> str:
    return f"{category.name} ({numbers.count(category.support)})"
