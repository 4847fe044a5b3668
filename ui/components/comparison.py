"""A table of models, and what follows from two of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.db.models.evaluation import ModelKind
from backend.evaluation.comparison import percent_text, regression_sentence, yardstick
from backend.evaluation.naming import in_a_sentence, in_a_table
from backend.evaluation.results import (
    Comparison,
    Difference,
    Learned,
    ModelRow,
)
from backend.evaluation.results_service import ResultsService
from ui.components import figures, numbers, text, words
from ui.components.rows import faint

_CHAMPION = Markup(' <span class="ov-tag">champion</span>')
_SENTENCE = Markup('<div class="ov-follows {}">{}</div>')


@dataclass(frozen=True, slots=True)
class _Column:
    """A figure of each model: its heading, what it is, how it is shown, and whether to the right."""

    head: str
    figure: Callable[[ModelRow], object]
    cell: Callable[[ModelRow], str | Markup]
    number: bool = True


_ANY_F1 = _Column(
    "F1, any violation",
    lambda row: row.any_f1,
    lambda row: figures.with_interval(row.any_f1, row.any_f1_interval),
    number=False,
)
_LAST = (
    _Column("AUPRC, any violation", lambda row: row.any_auprc, lambda row: numbers.score(row.any_auprc)),
    _Column("Harmless flagged", lambda row: row.false_alarms, lambda row: percent_text(row.false_alarms)),
    _Column("All right", lambda row: row.exact_match, lambda row: percent_text(row.exact_match)),
    _Column("Posts", lambda row: row.posts, lambda row: numbers.count(row.posts)),
    _Column("Evaluated", lambda row: row.created_at, lambda row: numbers.moment(row.created_at)),
)
_YES_NO = (_ANY_F1, *_LAST)
_CATEGORIES = (
    _Column(
        "Macro-F1",
        lambda row: row.macro_f1,
        lambda row: figures.with_interval(row.macro_f1, row.macro_f1_interval),
        number=False,
    ),
    _Column(
        "Macro-AUPRC",
        lambda row: row.macro_auprc,
        lambda row: figures.with_interval(row.macro_auprc, row.macro_auprc_interval),
        number=False,
    ),
    _Column("Micro-F1", lambda row: row.micro_f1, lambda row: numbers.score(row.micro_f1)),
    replace(_ANY_F1, cell=lambda row: numbers.score(row.any_f1), number=True),
    *_LAST,
)


def models_table(rows: Sequence[ModelRow], *, yes_no: bool) -> None:
    """Each model's headline figures with their intervals, and what needs no model; the champion is marked.

    A student that was asked in two ways has two lines, which say how. Under each student's name stands what
    it learned from, for a number alone tells nobody which of twenty it is.
    """
    # What no model has a figure of on this set would only take the room of what they have.
    columns = [
        column
        for column in (_YES_NO if yes_no else _CATEGORIES)
        if any(column.figure(row) is not None for row in rows)
    ]
    names = [_name(row) for row in rows]
    text.show(
        figures.table(
            ["Model", *(column.head for column in columns)],
            [
                [name, *(column.cell(row) for column in columns)]
                for name, row in zip(names, rows, strict=True)
            ],
            numbers=[place for place, column in enumerate(columns, start=1) if column.number],
            marked=[position for position, row in enumerate(rows) if row.champion],
        )
    )
    if said := yardstick(rows):
        st.caption(text.label(said))


def _name(row: ModelRow) -> Markup:
    name = text.literal(in_a_table(row)) + (_CHAMPION if row.champion else Markup(""))
    return name if row.learned is None else name + Markup("<br>") + faint(_learned(row.learned))


def in_a_list(row: ModelRow) -> str:
    """A model where one is chosen of many: its name, and what a student learned from."""
    name = in_a_table(row)
    return name if row.learned is None else f"{name}: {_learned(row.learned)}"


def _learned(of: Learned) -> str:
    return f"{words.version(of.version, of.handling)}, seed {of.seed}"


def compared(service: ResultsService, a_id: int, b_id: int) -> Comparison:
    """Two evaluations side by side, worked out once: they never change, and their intervals take a while."""
    known: dict[tuple[int, int], Comparison] = st.session_state.setdefault("compared", {})
    if (a_id, b_id) not in known:
        known[a_id, b_id] = service.compare(a_id, b_id)
    return known[a_id, b_id]


def beside_regression(evaluation_id: int) -> None:
    """Whether a student beats logistic regression taught the same posts; nothing where none was."""
    with get_database().read() as found:
        service = ResultsService(found)
        regression = service.regression_beside(evaluation_id)
        beside = None if regression is None else compared(service, evaluation_id, regression)
    if beside is None:
        return
    _, overall = beside.headline
    said = regression_sentence(in_a_sentence(beside.a_name, ModelKind.RUN), beside)
    if overall.clear and (overall.difference or 0) > 0:
        st.caption(text.label(said))
    else:
        st.warning(f"{text.label(said)} A regression costs nothing to run.", icon=":material/functions:")


def sentence(found: Comparison) -> None:
    """What follows from the comparison, in one sentence."""
    _, overall = found.headline
    look = "ov-follows-none"
    if overall.clear:
        look = "ov-follows-good" if (overall.difference or 0) > 0 else "ov-follows-bad"
    text.show(_SENTENCE.format(look, text.literal(found.sentence)))


def headline(found: Comparison) -> None:
    """The difference of the headline figures, and who was right how often."""
    left, right = st.columns((4, 3), gap="large", vertical_alignment="center")
    with left:
        text.show(_differences(found))
    with right:
        text.show(
            figures.facts(
                [
                    (numbers.count(found.only_a_right), f"only {_inside(found.a_name)} right"),
                    (numbers.count(found.only_b_right), f"only {_inside(found.b_name)} right"),
                    (numbers.count(found.both_right), "both right"),
                    (numbers.count(found.neither_right), "neither"),
                ]
            )
        )
        st.caption(
            f"of the {numbers.things(found.posts, 'post')} that both were judged on. "
            f"Had both the same chance to be right, such a split would come {_chance(found.mcnemar_p)} "
            "(exact McNemar test)."
        )


def _inside(name: str) -> str:
    return name[:1].lower() + name[1:]


def _chance(p: float) -> str:
    if p < 0.001:
        return "in fewer than 1 of 1,000 tests"
    return f"in {p:.0%} of tests" if p >= 0.1 else f"in {p:.1%} of tests"


def _differences(found: Comparison) -> Markup:
    shown: list[tuple[str, Difference]] = [
        ("F1, any violation", found.any_f1),
        ("AUPRC, any violation", found.any_auprc),
        ("All right" if found.categories else "Right, violation or not", found.exact_match),
    ]
    if found.categories:
        shown = [("Macro-F1", found.macro_f1), ("Macro-AUPRC", found.macro_auprc), *shown]
    shown = [each for each in shown if each[1].difference is not None]
    return figures.table(
        ["", found.a_name, found.b_name, "Difference, and 95% interval"],
        [
            (
                name,
                numbers.score(one.a),
                numbers.score(one.b),
                figures.difference(one.difference, one.low, one.high),
            )
            for name, one in shown
        ],
        numbers=(1, 2),
        narrow=True,
    )


def is_challenger(row: ModelRow) -> bool:
    """Whether a person could promote this model; of two ways to ask a student, by the line of its own."""
    return row.kind is ModelKind.RUN and not row.champion and row.inference is None


def is_better(evaluation_id: int, found: Comparison) -> bool:
    """Whether this one of the two is better beyond doubt, on posts among which there is something to find."""
    if found.any_f1.difference is None:
        return False
    _, overall = found.headline
    gained = overall.difference or 0
    return overall.clear and (gained if evaluation_id == found.a_id else -gained) > 0
