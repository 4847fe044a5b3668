"""Students of a study as they would be scored, without training any."""

from __future__ import annotations

import numpy as np

from backend.db.models import Run
from backend.db.models.curation import Handling
from backend.evaluation.bootstrap import bootstrap, exactly
from backend.evaluation.metrics import measure
from backend.study.grid import Cell
from backend.study.intervals import Figure
from backend.study.scored import OfSet, Results, Scored
from backend.study.service import Learned
from tests.backend.evaluation.build import random_judged
from training.prompt import Form

TEST = OfSet(1, "test", 1, 300, yes_no=False, in_distribution=True, language="en")
NAMES = {"c0": "Hate", "c1": "Scam"}


def scored(
    cell: Cell,
    noise: float,
    *,
    of: OfSet = TEST,
    inference: Form = "direct",
    by_itself: bool = True,
    learned: float | None = None,
    posts: int = 300,
) -> Scored:
    """A student whose errors grow with `noise`; with the same seed, of the same posts."""
    judged = random_judged(posts=posts, codes=2, seed=of.id, noise=noise)
    [samples] = bootstrap([judged], resamples=300)
    exact = exactly(judged)
    main = Figure(float(exact.macro_f1[0]), samples.macro_f1)
    return Scored(
        cell=cell,
        rows=Learned(1, 1, 1, "", cell.rows or 100, 50, 3),
        run=Run(number=cell.seed + 1),
        of=of,
        inference=inference,
        by_itself=by_itself,
        metrics=measure(judged, names=NAMES, thresholds={}, of=posts, resamples=20),
        main=main,
        ranking=Figure(float(exact.macro_auprc[0]), samples.macro_auprc),
        any_violation=Figure(float(exact.f1[0, -1]), samples.f1[:, -1]),
        auprc={
            code: Figure(float(exact.auprc[0, at]), samples.auprc[:, at]) for at, code in enumerate(NAMES)
        },
        f1={code: Figure(float(exact.f1[0, at]), samples.f1[:, at]) for at, code in enumerate(NAMES)},
        learned=None if learned is None else Figure(learned, np.full(300, learned)),
    )


def results(*students: Scored, missing: tuple[Cell, ...] = ()) -> Results:
    cells = [*dict.fromkeys(one.cell for one in students), *missing]
    sets = list(dict.fromkeys(one.of for one in students))
    return Results(cells, missing, sets, students, [], NAMES)


def cell(handling: str = "keep", answers: str = "direct", seed: int = 0, **more: object) -> Cell:
    return Cell(Handling(handling), answers, seed, **more)  # type: ignore[arg-type]
