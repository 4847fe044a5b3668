"""Tables in the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from backend.cli import output

NAME = "Logistic regression, version 12"


def printed(monkeypatch: pytest.MonkeyPatch, width: int, *cells: str) -> str:
    to = io.StringIO()
    monkeypatch.setattr(output, "out", Console(file=to, width=width))
    output.print_table(("model", "macro AUPRC"), [cells], title="test, version 1")
    return to.getvalue()


def test_a_wide_table_has_a_line_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    title, heads, row = printed(monkeypatch, 80, NAME, ".58").splitlines()
    assert title.strip() == "test, version 1"
    assert heads.split() == ["model", "macro", "AUPRC"]
    assert row.strip().startswith(NAME) and row.strip().endswith(".58")


@pytest.mark.parametrize("width", [18, 24, 30])
def test_nothing_is_lost_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    found = printed(monkeypatch, width, "sampleteacherwithalongname", ".79 (.68 to .87)")
    assert all(len(line) <= width for line in found.splitlines())
    said = "".join(found.split())
    assert sorted(said) == sorted("test,version1modelmacroAUPRCsampleteacherwithalongname.79(.68to.87)")


def test_what_stands_in_a_cell_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    found = printed(monkeypatch, 80, "[red]a[/red]\x1b[2J", "b")
    assert "[red]a[/red]�[2J" in found and "\x1b" not in found


@pytest.mark.parametrize(("word", "whole"), [("Solicitation", True), ("Freundschaftsanfragen", False)])
def test_words_of_a_name_stay_whole_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, word: str, whole: bool
) -> None:
    found = printed(monkeypatch, 60, f"{word} in messages", "−.02, −.25 to .22, and only the first is right")
    assert (word in found) is whole
    assert all(len(line) <= 60 for line in found.splitlines())
