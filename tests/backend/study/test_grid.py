"""Which students a study has."""

from collections import Counter

import pytest

from backend.curation.variation import AS_IT_IS, Variation
from backend.db.models.curation import Handling
from backend.errors import InvalidInputError
from backend.study.grid import Cell, Grid, Matching
from training.job import PRESETS

KEEP, DROP, AGAIN = Handling.KEEP, Handling.DROP, Handling.RECHECK_DROP


def of(grid: Grid, **rows: int) -> list[Cell]:
    return grid.cells({cell: rows[cell.handling.value.replace("-", "_")] for cell in grid.whole()})


def test_every_handling_with_every_kind_of_answers_and_seed_free_and_matched() -> None:
    cells = of(Grid([KEEP, DROP], ["direct", "both"], seeds=3), keep=100, drop=60)
    assert len(cells) == len(set(cells)) == 2 * 2 * 3 * 2
    assert Counter(cell.size for cell in cells) == {"all": 12, "matched": 12}
    assert {cell.rows for cell in cells if cell.matched} == {60}
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells), "whole comparisons first"


def test_matched_sizes_of_the_smallest_handling_are_the_version_that_is_there() -> None:
    cells = of(Grid([KEEP, DROP], ["direct"], seeds=2, matching=Matching.MATCHED), keep=100, drop=60)
    assert {cell.size for cell in cells} == {"matched"}
    assert {cell.variation(60) for cell in cells if cell.handling is DROP} == {AS_IT_IS}
    assert [cell.variation(100) for cell in cells if cell.handling is KEEP] == [
        Variation(rows=60, seed=0),
        Variation(rows=60, seed=1),
    ]


def test_nothing_is_matched_where_all_are_even() -> None:
    grid = Grid([KEEP, DROP], ["direct"], seeds=1)
    assert {cell.size for cell in of(grid, keep=60, drop=60)} == {"all"}
    assert list(grid.notes(dict.fromkeys(grid.whole(), 60))) != []
    assert list(Grid([KEEP], ["direct"]).notes(dict.fromkeys(Grid([KEEP], ["direct"]).whole(), 60))) == []


def test_a_learning_curve_has_no_size_that_is_not_there() -> None:
    grid = Grid([KEEP, DROP], ["direct"], seeds=1, sizes=(20, 80), matching=Matching.FREE)
    assert [(cell.handling, cell.size) for cell in of(grid, keep=100, drop=60)] == [
        (KEEP, "all"),
        (KEEP, "20"),
        (KEEP, "80"),
        (DROP, "all"),
        (DROP, "20"),
    ]
    rows = {cell: 100 if cell.handling is KEEP else 60 for cell in grid.whole()}
    assert list(grid.notes(rows)) == ["drop has 60 training rows: there is no version of 80."]


def test_categories_are_left_out_one_at_a_time_and_second_answers_simulated_where_asked() -> None:
    grid = Grid([KEEP, AGAIN], ["direct"], seeds=1, leave_out=("hate", "scam"), repaired=0.5)
    cells = of(grid, keep=100, recheck_drop=80)
    assert Counter(cell.leave_out for cell in cells) == {None: 4, "hate": 2, "scam": 2}
    assert {(cell.handling, cell.repaired) for cell in cells} == {(KEEP, None), (AGAIN, 0.5)}
    simulated = Cell(AGAIN, "direct", 2, repaired=0.5)
    assert simulated.variation() == Variation(repaired=0.5, seed=2)
    assert simulated.name == "recheck-drop (simulated), direct, seed 2"


def test_a_cell_has_the_studys_settings_with_its_own_answers_and_seed() -> None:
    config = Cell(KEEP, "both", 2).config(PRESETS["quick"])
    assert (config.answers, config.seed) == ("both", 2)
    assert config.model_copy(update={"answers": "direct", "seed": 0}) == PRESETS["quick"]


def test_a_study_of_nothing_is_refused() -> None:
    for wrong in ({"handlings": []}, {"answers": []}, {"seeds": 0}, {"sizes": (1,)}):
        with pytest.raises(InvalidInputError):
            Grid(**{"handlings": [KEEP], "answers": ["direct"], **wrong})  # type: ignore[arg-type]
