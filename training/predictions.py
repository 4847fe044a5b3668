"""A job's predictions: every set scored, thresholds chosen on one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, f1_score

from training import hardware
from training.answers import answer_tree
from training.calibration import fit_temperature
from training.cost import Counts, Shape, answer_nodes, counted_scoring, forward_work
from training.data import DataError, Row, known_labels, read_rows
from training.files import write_parquet
from training.job import THRESHOLDS, Job
from training.policy import Policy
from training.progress import Reporter
from training.prompt import Form, Renderer
from training.scoring import OnProgress, Prefixes, Scores, prefixes_of, score
from training.stop import Stop
from training.student import Student
from training.thresholds import BEST_F1, Aim, choose_thresholds

VALIDATION = "validation"
USUAL_REASON = 64
"""Tokens of a reason, where no learned ones tell how long they will be."""
Sets = dict[str, list[Row]]


def read_sets(folder: Path, job: Job) -> Sets:
    """The job's posts by name: validation where it exists, then the job's sets.

    Raises:
        DataError: a set is missing or unreadable, or a post has no text.
    """
    sets: Sets = {}
    validation = folder / f"{VALIDATION}.parquet"
    if validation.is_file():
        sets[VALIDATION] = read_rows(validation, labelled=True)
    for name in job.sets:
        if name != VALIDATION:
            sets[name] = read_rows(folder / "sets" / f"{name}.parquet", labelled=name == THRESHOLDS)
        elif VALIDATION not in sets:
            raise DataError("the job asks to score validation.parquet, and there is none")
    for name, rows in sets.items():
        for row in rows:
            if row.text is None:
                raise DataError(f"row {row.id!r} of {name} has no text to score")
    return sets


def to_score(sets: Sets) -> Sets:
    """The posts to score: validation only where no other set chooses the thresholds."""
    return {name: rows for name, rows in sets.items() if name != VALIDATION or THRESHOLDS not in sets}


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores a job's sets, with the same settings for every model.

    Attributes:
        form: the form in which the models answer.
        max_labels: answers name at most so many categories.
        max_length: tokens in all; longer posts lose their middle.
        shape: of the base model.
        aim: what the thresholds are chosen for.
        reason_tokens: how long a reason is taken to be before it is written.
    """

    sets: Sets
    renderer: Renderer
    form: Form
    max_labels: int
    max_length: int
    reporter: Reporter
    stop: Stop
    shape: Shape
    aim: Aim = BEST_F1
    reason_tokens: int = USUAL_REASON

    def plan(self, passes: int) -> None:
        """Tell the reporter how much lies ahead; reasons that no score depends on are not foreseen.

        Raises:
            ScoringError: the policy has too many answers to score.
        """
        # What cannot be scored is refused before anything is learned.
        answer_tree(self.renderer, self.form, self.max_labels)
        work = sum(forward_work(self.shape, self._counts(rows)) for rows in self.sets.values())
        self.reporter.plan(passes * work, "scoring")

    def macro_f1(self, student: Student) -> float:
        """How good a student is on the posts that choose the thresholds, at the thresholds best for it.

        Raises:
            StopRequestedError: someone asked to stop.
        """
        rows = self._choosing
        work_of = self._work_of(rows)
        before_row = 0

        def on_progress(done: int, count: int, tokens: int) -> None:
            nonlocal before_row
            self.stop.check()
            self.reporter.work(work_of(done - before_row, tokens), "validating")
            before_row = done

        scores = self._scored(student, rows, prefixes_of(student, self.renderer), on_progress)
        found = on_validation(self.renderer.policy, rows, scores.table)
        return float(found[VALIDATION]["macro_f1"])

    @property
    def macro_f1_work(self) -> float:
        """Floating-point operations of `macro_f1`."""
        return forward_work(self.shape, self._counts(self._choosing))

    def require_macro_f1(self) -> None:
        """Refuse to choose by macro-F1 where there is nothing to take it on.

        Raises:
            DataError: no post that chooses the thresholds is known to break a rule.
        """
        if not any(labels for _, labels in known_labels(self._choosing, self.renderer.policy)):
            raise DataError(
                "macro-F1 cannot choose the best weights: no validation post is known to break a rule; "
                "add some, or let the validation loss choose"
            )

    @property
    def _choosing(self) -> list[Row]:
        """The posts that choose the thresholds."""
        return self.sets.get(THRESHOLDS) or self.sets.get(VALIDATION, [])

    def _work_of(self, rows: Sequence[Row]) -> Callable[[int, int], float]:
        """Gives the planned floating-point operations of some of these posts, from their number and tokens.

        By their tokens; where reasons are written first, which may be longer or shorter than planned, by
        their number.
        """
        counts = self._counts(rows)
        work = forward_work(self.shape, counts)
        if self.form == "reasoned":
            return lambda posts, tokens: work * posts / max(1, counts.examples)
        return lambda posts, tokens: work * tokens / max(1, counts.tokens)

    def _counts(self, rows: Sequence[Row]) -> Counts:
        """What is computed to score posts once."""
        nodes = answer_nodes(self.renderer, self.form)
        prompts = (self.renderer.example(row.text or "", self.form, None, self.max_length) for row in rows)
        reason = self.reason_tokens if self.form == "reasoned" else 0
        tails = [len(prompt) - len(prompt.prefix) + reason for prompt in prompts]
        return counted_scoring(len(self.renderer.frame_ids(self.form)[0]), tails, nodes)

    def score(
        self, student: Student, folder: Path, reasons: Path | None = None, *, by: str = ""
    ) -> dict[str, Any]:
        """Score all sets and keep the predictions; what an earlier process finished is not done again.

        Args:
            student: the model, whose weights stay as they are meanwhile.
            folder: for the predictions.
            reasons: the folder for what it writes of the posts, where that is kept.
            by: whose scores they are, where not the job's own model's: the name of a folder for them.

        Returns:
            `thresholds` by code, empty where nothing can choose them, `temperature`, `validation`,
            how good the scores are on the posts that chose them, and where reasons are kept
            `unreadable`, how many of each set's answers could not be read.
        """
        summary: dict[str, Any] = {"thresholds": {}}
        prefixes = prefixes_of(student, self.renderer)
        self.reporter.begin()
        before = 0
        for name, rows in self.sets.items():
            path = folder / by / f"{name}.parquet"
            if not path.is_file():
                scores = self._told(student, rows, prefixes, before, reasons is not None, by)
                # First the reasons, so that where there are predictions nothing is missing.
                if reasons is not None and scores.reasons is not None:
                    write_parquet(reasons / path.name, scores.reasons)
                write_parquet(path, scores.table)
            before += len(rows)
            if name in (VALIDATION, THRESHOLDS):
                summary |= on_validation(self.renderer.policy, rows, pd.read_parquet(path), self.aim)
        if reasons is not None:
            written = {name: pq.read_table(reasons / f"{name}.parquet") for name in self.sets}
            summary["unreadable"] = {name: table["labels"].null_count for name, table in written.items()}
        return summary

    def _told(
        self, student: Student, rows: list[Row], prefixes: Prefixes, before: int, reasons: bool, by: str
    ) -> Scores:
        """A set's scores, with progress told as after so many posts of other sets."""
        total = sum(len(rows) for rows in self.sets.values())
        work_of = self._work_of(rows)
        before_row = written = 0

        def on_progress(done: int, count: int, tokens: int) -> None:
            nonlocal before_row
            self.stop.check()
            self.reporter.work(work_of(done - before_row, tokens), "scoring", examples=done - before_row)
            before_row = done
            self.reporter.write(
                "scoring",
                always=done == count,
                step=before + done,
                steps=total,
                model=by or None,
                examples_per_second=self.reporter.rates("scoring").get("examples"),
                memory_mb=hardware.memory_mb(student.device),
            )

        def on_written(posts: int) -> None:
            nonlocal written
            self.stop.check()
            written += posts
            self.reporter.write("scoring", message=f"reasons of {written:,} of {len(rows):,} posts written")
            if self.form != "reasoned":
                # Such writing is not foreseen, so its time must not count as scoring's.
                self.reporter.begin()

        return self._scored(student, rows, prefixes, on_progress, reasons=reasons, on_written=on_written)

    def _scored(
        self,
        student: Student,
        rows: Sequence[Row],
        prefixes: Prefixes,
        on_progress: OnProgress,
        **writing: Any,
    ) -> Scores:
        return score(
            student,
            self.renderer,
            [row.id for row in rows],
            [row.text or "" for row in rows],
            form=self.form,
            max_labels=self.max_labels,
            max_length=self.max_length,
            prefixes=prefixes,
            on_progress=on_progress,
            **writing,
        )


def on_validation(
    policy: Policy, rows: Sequence[Row], table: pd.DataFrame, aim: Aim = BEST_F1
) -> dict[str, Any]:
    """Thresholds by code, and how good the scores are at them; nothing where no labels are known.

    `temperature` is None where the posts cannot tell it (`training/calibration.py`); a category that
    no post has has no F1 and no AUPRC, and is in no macro average.
    """
    known = list(known_labels(rows, policy))
    if not known:
        return {}
    labels = np.array([[code in has for code in policy.codes] for _, has in known])
    scores = table[[f"p_{code}" for code in policy.codes]].to_numpy()[[index for index, _ in known]]
    thresholds = choose_thresholds(labels, scores, aim)
    named = scores >= thresholds
    categories: dict[str, dict[str, Any]] = {}
    for column, code in enumerate(policy.codes):
        has, says = labels[:, column], named[:, column]
        categories[code] = {
            "support": int(has.sum()),
            "f1": float(f1_score(has, says, zero_division=0.0)) if has.any() else None,
            "auprc": float(average_precision_score(has, scores[:, column])) if has.any() else None,
        }
    found = [values for values in categories.values() if values["support"]]
    return {
        "thresholds": dict(zip(policy.codes, thresholds.tolist(), strict=True)),
        "temperature": fit_temperature(labels, scores),
        VALIDATION: {
            "posts": len(known),
            "macro_f1": float(np.mean([values["f1"] for values in found])) if found else None,
            "macro_auprc": float(np.mean([values["auprc"] for values in found])) if found else None,
            "valid_mass": float(table["valid_mass"].mean()),
            "categories": categories,
        },
    }
