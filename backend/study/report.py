"""The report of a study: Markdown and a page for people, a tidy table for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment

from backend.evaluation.results import Interval
from backend.study.scored import Results, Scored
from backend.study.tables import Section, Shown, Table, Value

_HOW = (
    "Figures are between 0 and 1: the mean over seeds, in brackets its 95% interval, which is for other "
    "posts and other seeds (a bootstrap over posts, near-duplicates together, and Student's t over seeds). "
    "With one seed it is for other posts only. Differences are paired: the same seed and the same posts. "
    "Thresholds are chosen on validation posts. A difference is called clear where its interval leaves out "
    "zero, a handling the winner where that holds of all pairs together (Holm)."
)


def write(
    folder: Path, title: str, about: Sequence[str], sections: Sequence[Section], rows: pd.DataFrame
) -> None:
    """Write study.md, study.html and study.csv into a folder, made where missing.

    Args:
        folder: where to.
        title: of the report.
        about: sentences on what was studied.
        sections: as `findings.findings` gives them.
        rows: as `tidy` gives them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.md").write_text(markdown(title, about, sections), "utf-8")
    (folder / "study.html").write_text(page(title, about, sections), "utf-8")
    rows.to_csv(folder / "study.csv", index=False)


def markdown(title: str, about: Sequence[str], sections: Sequence[Section]) -> str:
    """The report as Markdown. Names of sets and categories are people's: no mark-up of theirs counts."""
    parts = [f"# {_literal(title)}", *map(_literal, about), _HOW]
    for section in sections:
        parts.append(f"## {_literal(section.title)}")
        parts += ["\n".join(f"- {_literal(sentence)}" for sentence in section.sentences)]
        parts += [_as_markdown(table) for table in section.tables]
    return "\n\n".join(part for part in parts if part) + "\n"


def _as_markdown(table: Table) -> str:
    lines = [table.heads, tuple("---" for _ in table.heads), *table.rows]
    rows = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    return f"{_literal(table.caption)}\n\n{rows}"


def _cell(value: Value) -> str:
    words = _literal(str(value))
    return f"**{words}**" if isinstance(value, Shown) and value.clear else words


def _literal(text: str) -> str:
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def page(title: str, about: Sequence[str], sections: Sequence[Section]) -> str:
    """The report as one HTML page that needs nothing else; intervals are drawn beside their figures."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_PAGE).render(
        title=title, about=[*about, _HOW], sections=sections, strip=_strip
    )


def _strip(value: Value) -> dict[str, float] | None:
    """Where a figure's interval lies on a line from 0 to 1, or of a difference from -½ to ½, in percent."""
    if not isinstance(value, Shown) or value.estimate is None:
        return None
    estimate = value.estimate
    if estimate.low is None or estimate.high is None:
        return None
    shift = 0.5 if value.signed else 0.0
    low, middle, high = (
        100 * min(1.0, max(0.0, end + shift)) for end in (estimate.low, estimate.value, estimate.high)
    )
    return {"low": low, "middle": middle, "width": high - low}


def tidy(results: Results) -> pd.DataFrame:
    """One line for each student, set and way of asking."""
    return pd.DataFrame([_line(one) for one in results.scored])


def _line(one: Scored) -> dict[str, Any]:
    cell, metrics = one.cell, one.metrics
    result = one.run.result or {}
    return {
        "run": one.run.number,
        "handling": cell.handling.value,
        "simulated": cell.repaired,
        "answers": cell.answers,
        "inference": one.inference,
        "size": cell.size,
        "matched": cell.matched,
        "leave_out": cell.leave_out,
        "seed": cell.seed,
        "dataset_version": one.rows.number,
        "training_rows": one.rows.rows,
        "rows_with_reason": one.rows.reasoned,
        "left_out_as_leaks": one.rows.leaking,
        "set": one.of.name,
        "set_version": one.of.number,
        "language": one.of.language,
        "posts": metrics.posts,
        **_with_ends("macro_f1", metrics.macro.f1, metrics.macro.f1_interval),
        **_with_ends("macro_auprc", metrics.macro.auprc, metrics.macro.auprc_interval),
        **_with_ends("any_f1", metrics.any_violation.f1, metrics.any_violation.f1_interval),
        "any_auprc": metrics.any_violation.auprc,
        "exact_match": metrics.exact_match,
        "learned_macro_f1": None if one.learned is None else one.learned.value,
        "training_steps": result.get("training", {}).get("step"),
        "training_seconds": result.get("timings", {}).get("training"),
    }


def _with_ends(name: str, value: float | None, interval: Interval | None) -> dict[str, float | None]:
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1d2430; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; font-size: .9rem; }
caption { text-align: left; color: #5a6475; padding-bottom: .4rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde2ea; vertical-align: top; }
.strip { position: relative; display: block; width: 10rem; height: .5rem; background: #eef1f5; }
.strip i { position: absolute; top: 0; bottom: 0; background: #9db4d3; }
.strip b { position: absolute; top: -.1rem; bottom: -.1rem; width: 2px; background: #1f3f6e; }
.signed::after { content: ""; position: absolute; left: 50%; top: 0; bottom: 0; width: 1px;
  background: #1d2430; }
</style>
<h1>{{ title }}</h1>
{% for sentence in about %}
<p>{{ sentence }}</p>
{% endfor %}
{% for section in sections %}
<h2>{{ section.title }}</h2>
<ul>
{% for sentence in section.sentences %}
<li>{{ sentence }}</li>
{% endfor %}
</ul>
{% for table in section.tables %}
<table>
<caption>{{ table.caption }}</caption>
<tr>{% for head in table.heads %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in table.rows %}
<tr>
{% for value in row %}
<td>{% if value.clear %}<strong>{{ value }}</strong>{% else %}{{ value }}{% endif %}
{% set at = strip(value) %}{% if at %}
<span class="strip{% if value.signed %} signed{% endif %}">
<i style="left:{{ at.low|round(1) }}%;width:{{ at.width|round(1) }}%"></i>
<b style="left:{{ at.middle|round(1) }}%"></b></span>{% endif %}</td>
{% endfor %}
</tr>
{% endfor %}
</table>
{% endfor %}
{% endfor %}
</html>
"""
