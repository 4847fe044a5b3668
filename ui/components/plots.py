"""Plots of runs and evaluations: titled axes with units, legible on light and on dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from ui.components.charts import CALM, WARN, Chart

FIRST, SECOND = CALM, WARN
"""The colours of two models side by side; they differ in lightness too."""

_TRAINING, _VALIDATION = "training", "validation"
_LOG_TICKS = [digit * 10.0**power for power in range(-6, 3) for digit in (1, 2, 5)]
_FAR = 5
"""A loss that falls to less than one in so many is drawn on a logarithmic scale."""


@dataclass(frozen=True, slots=True)
class Named:
    """A model in a plot: its name and the colour that it has on the whole page."""

    name: str
    colour: str


def _scale(models: Sequence[Named]) -> alt.Scale:
    return alt.Scale(domain=[model.name for model in models], range=[model.colour for model in models])


def losses(frame: pd.DataFrame, *, height: int = 260) -> Chart:
    """The loss of training and of validation over the steps, the best validation marked.

    Args:
        frame: columns step, loss, series ("training" or "validation") and best (true or false).
        height: pixels.
    """
    names = alt.Scale(domain=[_TRAINING, _VALIDATION], range=[CALM, WARN])
    # The first steps' losses are many times the last ones', which an even scale would press flat.
    falls_far = len(frame) > 0 and 0 < _FAR * frame["loss"].min() < frame["loss"].max()
    scale = alt.Scale(type="log", nice=False) if falls_far else alt.Scale(zero=False, nice=True)
    how, ticks = (", log", _LOG_TICKS) if falls_far else ("", alt.Undefined)
    base = alt.Chart(frame).encode(
        x=alt.X("step:Q", title="optimiser step", axis=alt.Axis(format=",d", tickMinStep=1)),
        y=alt.Y(
            "loss:Q",
            title=f"loss per learned token (nats{how})",
            scale=scale,
            axis=alt.Axis(format="~g", values=ticks),
        ),
        color=alt.Color("series:N", title=None, scale=names, legend=alt.Legend(orient="top")),
        tooltip=[
            alt.Tooltip("series:N", title="loss"),
            alt.Tooltip("step:Q", title="step", format=",d"),
            alt.Tooltip("loss:Q", title="nats per token", format=".3f"),
        ],
    )
    training = base.transform_filter(f"datum.series == '{_TRAINING}'").mark_line(strokeWidth=1.5)
    validation = base.transform_filter(f"datum.series == '{_VALIDATION}'")
    best = validation.transform_filter("datum.best")
    return alt.layer(
        training,
        validation.mark_line(strokeWidth=2, strokeDash=[6, 3]),
        validation.mark_point(filled=True, size=45),
        best.mark_point(size=190, strokeWidth=2),
        best.mark_text(dy=-17, fontWeight=600).encode(text=alt.value("best")),
    ).properties(height=height)


def by_category(frame: pd.DataFrame, models: Sequence[Named], *, measure: str) -> Chart:
    """Two models' bars for each category, with their intervals.

    Args:
        frame: columns category, support, model, value, low and high; low and high may be empty.
        models: the models, in drawing order.
        measure: what the bars show, as the axis' title.
    """
    order = [model.name for model in models]
    y = alt.Y(
        "category:N", title=None, sort=None, axis=alt.Axis(labelLimit=200), scale=alt.Scale(paddingInner=0.3)
    )
    offset = alt.YOffset("model:N", sort=order)
    base = alt.Chart(frame).encode(
        y=y,
        yOffset=offset,
        tooltip=[
            alt.Tooltip("category:N"),
            alt.Tooltip("model:N"),
            alt.Tooltip("value:Q", title=measure, format=".2f"),
            alt.Tooltip("low:Q", title="95% from", format=".2f"),
            alt.Tooltip("high:Q", title="to", format=".2f"),
            alt.Tooltip("support:Q", title="posts", format=",d"),
        ],
    )
    scale = alt.Scale(domain=[0, 1])
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X("value:Q", title=f"{measure} (0 to 1)", scale=scale, axis=alt.Axis(format=".1f")),
        color=alt.Color(
            "model:N",
            title=None,
            scale=_scale(models),
            sort=order,
            legend=alt.Legend(orient="top", labelLimit=300),
        ),
    )
    whiskers = base.mark_rule(color="#6b7278", strokeWidth=1.5).encode(
        x=alt.X("low:Q", title=""), x2="high:Q"
    )
    # Legend and axis take their room from the height, too.
    height = max(180, 40 * frame["category"].nunique() + 90)
    return alt.layer(bars, whiskers).properties(height=height)


def precision_recall(
    curves: pd.DataFrame, chosen: pd.DataFrame, models: Sequence[Named], *, height: int = 320
) -> Chart:
    """Precision over recall for each model, with the point that its threshold chose.

    Args:
        curves: columns model, recall, precision, threshold; recall rising.
        chosen: columns model, recall, precision, threshold: one point a model.
        models: the models, in drawing order.
        height: pixels.
    """
    order = [model.name for model in models]
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(curves).encode(
        x=alt.X(
            "recall:Q",
            title="recall: share of the violations that are found",
            scale=scale,
            axis=alt.Axis(format=".1f"),
        ),
        y=alt.Y(
            "precision:Q",
            title="precision: share of the alarms that are right",
            scale=scale,
            axis=alt.Axis(format=".1f"),
        ),
        color=alt.Color(
            "model:N",
            title=None,
            scale=_scale(models),
            sort=order,
            legend=alt.Legend(orient="top", labelLimit=300),
        ),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("recall:Q", format=".2f"),
            alt.Tooltip("precision:Q", format=".2f"),
            alt.Tooltip("threshold:Q", format=".2f"),
        ],
    )
    lines = base.mark_line(interpolate="step-before", strokeWidth=2).encode(
        strokeDash=alt.StrokeDash("model:N", title=None, legend=None, sort=order), order="recall:Q"
    )
    points = base.mark_point(filled=True, size=130, opacity=1, stroke="white", strokeWidth=1.5)
    points.data = chosen
    return alt.layer(lines, points).properties(height=height)


def reliability(bins: pd.DataFrame, models: Sequence[Named], *, height: int = 300) -> Chart:
    """What came true of each model's probabilities, beside the line on which all of it would.

    Args:
        bins: columns model, said, having, posts; said rising.
        models: the models, in drawing order.
        height: pixels.
    """
    order = [model.name for model in models]
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(bins).encode(
        x=alt.X("said:Q", title="probability that the model gives", scale=scale, axis=alt.Axis(format=".1f")),
        y=alt.Y(
            "having:Q", title="share of these posts that have it", scale=scale, axis=alt.Axis(format=".1f")
        ),
        color=alt.Color(
            "model:N",
            title=None,
            scale=_scale(models),
            sort=order,
            legend=alt.Legend(orient="top", labelLimit=300),
        ),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("said:Q", title="says", format=".2f"),
            alt.Tooltip("having:Q", title="is", format=".2f"),
            alt.Tooltip("posts:Q", format=",d"),
        ],
    )
    even = (
        alt.Chart(pd.DataFrame({"said": [0.0, 1.0], "having": [0.0, 1.0]}))
        .mark_line(strokeDash=[4, 4], color="#6b7278", strokeWidth=1)
        .encode(x="said:Q", y="having:Q")
    )
    lines = base.mark_line(strokeWidth=2)
    dots = base.mark_point(filled=True, opacity=1).encode(
        size=alt.Size("posts:Q", legend=None, scale=alt.Scale(range=[25, 260]))
    )
    return alt.layer(even, lines, dots).properties(height=height)
