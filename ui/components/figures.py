"""Figures with their intervals, and tables of numbers, as HTML that follows the theme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from backend.evaluation.results import Interval
from ui.components.numbers import NOTHING, change, count, score

_RANGE = Markup(
    '<span class="ov-range" role="img" aria-label="{}" title="{}">'
    '<span class="ov-whisker" style="left:{:.1f}%;width:{:.1f}%"></span>'
    '<span class="ov-point" style="left:{:.1f}%"></span></span>'
)
_TOGETHER = Markup('<span class="ov-together">{}</span>')
_FIGURE = Markup('<span class="ov-measure">{}</span>')
_TABLE = Markup(
    '<div class="ov-scroll"><table class="ov-grid {}">'
    "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
)
_HEAD = Markup('<th class="{}">{}</th>')
_CELL = Markup('<td class="{}">{}</td>')
_ROW = Markup('<tr class="{}">{}</tr>')
_BAR = Markup(
    '<span class="ov-bar" role="img" aria-label="{0:.0%}"><span style="width:{0:.0%}"></span></span>'
)
_PAIRS, _PAIR = Markup('<dl class="ov-pairs">{}</dl>'), Markup("<dt>{}</dt><dd>{}</dd>")
_FACT = Markup('<div><div class="ov-fact">{}</div><div class="ov-faint ov-small">{}</div></div>')
_HEAT = Markup('<td class="ov-heat {}" style="--ov-share:{:.0f}%" title="{}">{}</td>')
_TURNED = Markup('<th class="ov-turned"><span>{}</span></th>')
_BESIDE = Markup('<th scope="row">{}</th>')


def interval(value: float | None, low: float | None = None, high: float | None = None) -> Markup:
    """A measure between 0 and 1, with its 95% interval drawn beside it."""
    figure = _FIGURE.format(score(value))
    if value is None or low is None or high is None:
        return figure
    words = f"{score(low)} to {score(high)}"
    # A whisker of no length would not be seen.
    drawn = _RANGE.format(words, words, 100 * low, max(1.0, 100 * (high - low)), 100 * value)
    return _TOGETHER.format(figure + drawn)


def with_interval(value: float | None, span: Interval | None) -> Markup:
    """The same of a figure that may lack its interval."""
    return interval(value) if span is None else interval(value, span.low, span.high)


def difference(
    value: float | None, low: float | None, high: float | None, *, coloured: bool = True
) -> Markup:
    """The difference of two measures, with what it may be.

    Coloured where its interval leaves out zero, unless something else that was looked at forbids it.
    """
    if value is None or low is None or high is None:
        return Markup(NOTHING)
    look = "ov-good" if coloured and low > 0 else "ov-bad" if coloured and high < 0 else "ov-faint"
    return Markup('<span class="{}">{}</span> <span class="ov-faint ov-small">{} to {}</span>').format(
        look, change(value), change(low), change(high)
    )


def table(
    heads: Sequence[str | Markup],
    rows: Iterable[Sequence[str | Markup]],
    *,
    numbers: Iterable[int] = (),
    marked: Iterable[int] = (),
    narrow: bool = False,
) -> Markup:
    """A table of words and numbers.

    Args:
        heads: the columns' headings.
        rows: their cells; plain strings are escaped.
        numbers: columns that are set to the right.
        marked: rows that stand out.
        narrow: as wide as what stands in it, instead of as wide as the page.
    """
    right, strong = set(numbers), set(marked)
    looks = ["ov-number" if column in right else "" for column in range(len(heads))]
    head = Markup("").join(_HEAD.format(look, words) for look, words in zip(looks, heads, strict=True))
    body = Markup("").join(
        _ROW.format(
            "ov-marked" if position in strong else "",
            Markup("").join(_CELL.format(look, cell) for look, cell in zip(looks, row, strict=True)),
        )
        for position, row in enumerate(rows)
    )
    return _TABLE.format("ov-narrow" if narrow else "", head, body)


def heat_map(names: Sequence[str], cells: Sequence[Sequence[int]]) -> Markup:
    """A confusion table: what stands (rows) by what the model said (columns).

    A cell is the stronger, the larger its share of the row is; what is right has another colour
    than what is wrong, and lies on the diagonal.
    """
    head = _HEAD.format("", "People ↓ · model →") + Markup("").join(_TURNED.format(name) for name in names)
    body = Markup("").join(
        _ROW.format("", _BESIDE.format(name) + Markup("").join(_heat(names, position, row)))
        for position, (name, row) in enumerate(zip(names, cells, strict=True))
    )
    return _TABLE.format("ov-heat-map", head, body)


def _heat(names: Sequence[str], position: int, row: Sequence[int]) -> Iterable[Markup]:
    whole = sum(row)
    for column, (said, number) in enumerate(zip(names, row, strict=True)):
        words = f"{count(number)} of {count(whole)}: people say {names[position]}, the model says {said}"
        look = "ov-heat-right" if column == position else "ov-heat-wrong"
        yield _HEAT.format(look, 100 * number / max(1, whole), words, count(number) if number else "·")


def bar(part: float) -> Markup:
    """A share between 0 and 1, drawn as a small bar."""
    return Markup(
        '<span class="ov-bar" role="img" aria-label="{0:.0%}"><span style="width:{0:.0%}"></span></span>'
    ).format(min(1.0, max(0.0, part)))


def pairs(rows: Iterable[tuple[str, Markup]]) -> Markup:
    """Names and what they stand for, line by line."""
    return _PAIRS.format(Markup("").join(_PAIR.format(name, value) for name, value in rows))


def facts(rows: Iterable[tuple[str, str]]) -> Markup:
    """A few large figures, each with what it counts."""
    cells = Markup("").join(
        Markup('<div><div class="ov-fact">{}</div><div class="ov-faint ov-small">{}</div></div>').format(
            figure, words
        )
        for figure, words in rows
    )
    return Markup('<div class="ov-facts">{}</div>').format(cells)


def bars(rows: Iterable[tuple[Markup, int, float]]) -> Markup:
    """Counts as small bars: a name, the count, and its length between 0 and 1."""
    lines = Markup("").join(
        Markup("<dt>{}</dt><dd>{}{}</dd>").format(name, bar(length), count(number))
        for name, number, length in rows
    )
    return Markup('<dl class="ov-pairs">{}</dl>').format(lines)
