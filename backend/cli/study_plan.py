"""What a study would take, from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from backend.cli.output import messages, print_json, print_table
from backend.db.engine import Database
from backend.runs.views import Estimate
from backend.settings import Settings
from backend.study.grid import Cell, Grid
from backend.study.service import Learned, Study, StudyService, Trained
from backend.text import things
from training.prompt import Answers


@dataclass(frozen=True, slots=True)
class _Line:
    cell: Cell
    learned: Learned
    trained: Trained | None
    estimate: Estimate
    seconds: float | None


class Plan:
    """Builds the cells' versions without keeping any, and says what their students would take."""

    def __init__(self, database: Database, settings: Settings, wanted: Study, grid: Grid) -> None:
        self._database = database
        self._settings = settings
        self._wanted = wanted
        self._grid = grid
        self._estimates: dict[tuple[str, Answers], Estimate] = {}

    def build(self, cell: Cell, available: int | None) -> Learned:
        """The version that the cell would have; as short as it lasts, nobody waits long for it."""
        with _nothing_kept(self._database) as session:
            service = StudyService(session, self._settings)
            learned = service.build(self._wanted, cell, available)
            for answers in self._grid.answers:
                if (learned.hash, answers) not in self._estimates:
                    self._estimates[learned.hash, answers] = service.estimate(
                        self._wanted, replace(cell, answers=answers), learned
                    )
        return learned

    def say(self, cells: Mapping[Cell, Learned], notes: Sequence[str], *, json: bool) -> None:
        """Print the students, what is there of them, and what the others would take."""
        with self._database.read() as session:
            service = StudyService(session, self._settings)
            lines = [self._line(service, cell, learned) for cell, learned in cells.items()]
        # Handlings that give the very same rows share a student.
        missing = {
            (line.learned.hash, line.cell.answers, line.cell.seed): line.seconds
            for line in lines
            if line.trained is None or not line.trained.done
        }
        known = [seconds for seconds in missing.values() if seconds is not None]
        total = sum(known) if len(known) == len(missing) else None
        if json:
            cells_said = [_document(line) for line in lines]
            print_json({"cells": cells_said, "to_train": len(missing), "seconds": total, "notes": notes})
            return
        print_table(_HEADS, map(_row, lines))
        messages.print("¹ Validation rows are counted with them.", markup=False)
        cautions = [
            f"{each.message} {each.hint}" for one in self._estimates.values() for each in one.cautions
        ]
        for note in dict.fromkeys([*notes, *cautions]):
            messages.print(note, markup=False)
        time = "not measured on this computer yet" if total is None else f"about {total / 60:,.0f} minutes"
        messages.print(
            f"{things(len(lines), 'student')}, {len(missing):,} to train (the very same rows are learned "
            f"once): {time}, one after the other.",
            markup=False,
        )

    def _line(self, service: StudyService, cell: Cell, learned: Learned) -> _Line:
        estimate = self._estimates[learned.hash, cell.answers]
        trained = service.trained(self._wanted, cell, learned)
        return _Line(cell, learned, trained, estimate, self._seconds(estimate))

    def _seconds(self, estimate: Estimate) -> float | None:
        """To train and score a student, in each way in which it is asked."""
        if estimate.phases is None:
            return None
        again = 0.0 if self._wanted.label_only else estimate.phases.asking_again
        return estimate.phases.total + again


def _document(line: _Line) -> dict[str, object]:
    return {
        "cell": line.cell,
        "training_rows": line.learned.rows,
        "rows_with_reason": line.learned.reasoned,
        "run": line.trained.run.number if line.trained else None,
        "state": line.trained.state if line.trained else None,
        "estimate": line.estimate,
        "seconds": line.seconds,
    }


_HEADS = ("student", "rows", "with reason ¹", "run", "examples", "steps", "seconds")


def _row(line: _Line) -> Sequence[str]:
    return (
        line.cell.name,
        f"{line.learned.rows:,}",
        f"{line.learned.reasoned:,}",
        f"{line.trained.run.number} {line.trained.state.value}" if line.trained else "–",
        f"{line.estimate.examples:,}",
        "–" if line.estimate.steps is None else f"{line.estimate.steps:,}",
        "–" if line.seconds is None else f"{line.seconds:.0f}",
    )


@contextmanager
def _nothing_kept(database: Database) -> Iterator[Session]:
    """A transaction of which nothing is left."""
    with database.write() as session, session.begin_nested() as attempt:
        yield session
        attempt.rollback()
