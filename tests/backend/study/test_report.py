"""The report's three files."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from backend.study.findings import findings
from backend.study.report import markdown, page, tidy, write
from backend.study.tables import Section, Shown, Table
from tests.backend.study.build import TEST, cell, results, scored


def test_the_files_hold_what_was_found(tmp_path: Path) -> None:
    found = results(*(scored(cell(name, seed=seed), 1.0) for name in ("keep", "drop") for seed in (0, 1)))
    sections = findings(found)
    write(tmp_path / "out", "A study", ["Two handlings."], sections, tidy(found))
    text, html = ((tmp_path / "out" / name).read_text() for name in ("study.md", "study.html"))
    rows = pd.read_csv(tmp_path / "out" / "study.csv")
    for section in sections:
        assert f"## {section.title}" in text
        assert f"<h2>{section.title}</h2>" in html
    assert len(rows) == 4
    assert rows["handling"].tolist() == ["keep", "keep", "drop", "drop"]
    assert {"macro_f1", "macro_auprc", "any_f1", "learned_macro_f1", "language", "matched", "seed"} <= set(
        rows
    )
    assert rows["macro_f1"].between(0, 1).all()
    assert "http" not in html, "the page needs nothing from elsewhere"


def test_names_are_literal_text_in_every_file() -> None:
    evil = "<img src=x> | **bold** [a](http://b)"
    found = results(scored(cell(), 1.0, of=replace(TEST, name=evil)))
    text, html = (render("t", [], findings(found)) for render in (markdown, page))
    assert "<img" not in html
    assert "<img" not in text.replace("\\<img", "")
    assert "[a]" not in text.replace("\\[a\\]", "")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines


def test_an_unknown_figure_is_a_dash_without_a_strip() -> None:
    section = Section("Q", (), (Table("c", ("a",), ((Shown(None),), ("–",))),))
    html = page("t", [], [section])
    assert html.count("<td>–</td>") == 2
    assert 'class="strip' not in html


def test_a_study_without_students_has_an_empty_table() -> None:
    assert tidy(results()).empty
