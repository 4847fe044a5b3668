import pandas as pd
import pytest

from backend.db.models.content import Agreement, Split
from backend.db.models.curation import Handling
from backend.db.models.jobs import JobState
from backend.db.models.review import Verdict
from ui.components import figures, plots, rows, words
from ui.components.plots import FIRST, SECOND, Named

HOSTILE = "<img src=x onerror=alert(1)>"
MODELS = [Named("Run 1", FIRST), Named("Base model", SECOND)]


@pytest.mark.parametrize(
    ("named", "all_of"),
    [
        (words.SPLITS, Split),
        (words.AGREEMENTS, Agreement),
        (words.VERDICTS, Verdict),
        (words.HANDLINGS, Handling),
        (words.STATES, JobState),
    ],
)
def test_every_value_has_a_word(named, all_of) -> None:
    assert set(named) == set(all_of)


def test_tables_escape_what_they_are_given() -> None:
    for html in (
        figures.table([HOSTILE], [[HOSTILE]]),
        figures.heat_map([HOSTILE, "b"], [[1, 2], [3, 4]]),
        figures.pairs([(HOSTILE, rows.faint(HOSTILE))]),
        figures.facts([(HOSTILE, HOSTILE)]),
        rows.one_line(HOSTILE),
    ):
        assert "<img" not in html and "&lt;img" in html


def test_an_interval_is_drawn_in_its_place() -> None:
    html = figures.interval(0.5, 0.25, 0.75)
    assert ".50" in html and "left:25.0%;width:50.0%" in html
    assert figures.interval(None) == '<span class="ov-measure">–</span>'


def test_a_difference_is_coloured_only_where_it_is_clear() -> None:
    assert "ov-good" in figures.difference(0.1, 0.02, 0.2)
    assert "ov-bad" in figures.difference(-0.1, -0.2, -0.02)
    assert "ov-faint" in figures.difference(0.1, -0.02, 0.2)
    assert figures.difference(None, None, None) == "–"


def test_the_confusion_table_tells_right_from_wrong() -> None:
    html = figures.heat_map(["a", "b"], [[3, 1], [0, 4]])
    assert html.count("ov-heat-right") == 2 and html.count("ov-heat-wrong") == 2
    assert "3 of 4: people say a, the model says a" in html


def test_plots_are_charts_with_titled_axes() -> None:
    losses = pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0], "series": ["training", "validation"]})
    bars = pd.DataFrame(
        {
            "category": ["Hate"],
            "support": [3],
            "model": ["Run 1"],
            "value": [0.5],
            "low": [0.2],
            "high": [0.8],
        }
    )
    curve = pd.DataFrame({"model": ["Run 1"], "recall": [0.5], "precision": [0.5], "threshold": [0.5]})
    for chart in (
        plots.losses(losses.assign(best=[False, True])),
        plots.by_category(bars, MODELS, measure="F1"),
        plots.precision_recall(curve, curve, MODELS),
    ):
        assert "title" in str(chart.to_dict(validate=True))


@pytest.mark.parametrize(("last", "kind"), [(1.0, "linear"), (0.3, "log"), (0.0, "linear")])
def test_a_loss_that_falls_far_has_a_logarithmic_scale(last: float, kind: str) -> None:
    losses = pd.DataFrame({"step": [1, 2], "loss": [4.0, last], "series": "training", "best": False})
    chart = plots.losses(losses).to_dict(validate=True)
    y = chart["layer"][0]["encoding"]["y"]
    assert y["scale"].get("type", "linear") == kind
    assert ("log" in y["title"]) == (kind == "log")
