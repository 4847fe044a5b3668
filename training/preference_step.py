"""The preference step of a fine-tune: what it starts from, what it learns, and what it changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from training.checkpoints import Checkpoints
from training.cost import counted, forward_work
from training.job import PAIRS, VALIDATION_PAIRS, Config
from training.loop import Loop, Trained, TrainingError
from training.objective import Objective, mean_loss
from training.pairs import EncodedPairs
from training.preference import Preferring
from training.progress import Reporter
from training.ranks import Ranks, Refer
from training.stop import Stop, StopRequestedError
from training.student import Student


@dataclass(frozen=True, slots=True)
class Change:
    """A figure before the preference step and after it; None where there is nothing to take it on."""

    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Preferred:
    """What the preference step did.

    Attributes:
        trained: how its loop ended.
        validation_loss: cross-entropy of the validation answers per learned token.
        accuracy: share of the pairs in `measured_on` whose chosen answer has the higher reward.
        measured_on: the file of these pairs, those of validation posts where there are any.
        measured: how many they are.
    """

    trained: Trained
    validation_loss: Change
    accuracy: Change
    measured_on: str
    measured: int

    @property
    def figures(self) -> dict[str, Any]:
        """What `metrics.json` says of it."""
        return {
            "validation_loss": {"before": self.validation_loss.before, "after": self.validation_loss.after},
            "accuracy": {"before": self.accuracy.before, "after": self.accuracy.after},
            "measured_on": self.measured_on,
            "measured": self.measured,
        }


class PreferenceStep:
    """Trains a student on pairs, from the weights that the fine-tune kept and with a fresh optimiser.

    It keeps the weights as the fine-tune does: those with the lowest loss over validation pairs,
    without such pairs the last.

    Args:
        student: to be trained.
        pairs: what it learns.
        validation: pairs of validation posts; may be empty.
        taught: the fine-tune's validation examples; what the step does to their loss is told.
        config: settings with a preference step.
        checkpoints: of this step alone.
        reporter: where to tell of it; is told at once how much lies ahead.
        stop: looked at between rows.
        ranks: the processes that learn together.
    """

    def __init__(
        self,
        student: Student,
        pairs: EncodedPairs,
        validation: EncodedPairs,
        taught: Objective | None,
        config: Config,
        *,
        checkpoints: Checkpoints,
        reporter: Reporter,
        stop: Stop,
        ranks: Ranks | None = None,
    ) -> None:
        if config.preference is None:
            raise ValueError("these settings have no preference step")
        beta = config.preference.beta
        self._student = student
        self._learned = Preferring(student, pairs.pairs, pairs.ids, beta)
        self._held_out = (
            Preferring(student, validation.pairs, validation.ids, beta) if validation.pairs else None
        )
        self._taught = taught
        self._reporter = reporter
        self._stop = stop
        self._ranks = ranks or Ranks()
        self._loop = Loop(
            student,
            self._learned,
            self._held_out,
            config.of_preference_step,
            checkpoints=checkpoints,
            reporter=reporter,
            stop=stop,
            ranks=self._ranks,
        )
        self._plan()

    def run(self, validation_loss: float | None) -> Preferred:
        """Do it from the student's present weights, or go on from a checkpoint; its own are in place then.

        Args:
            validation_loss: of the present weights.

        Raises:
            TrainingError: a loss is no number any more.
            StopRequestedError: someone asked to stop; a checkpoint holds the steps that are done.
        """
        self._reporter.begin()
        self._reporter.write("preferring", message="what the base model says of the pairs")
        self._ranks.send(Refer("preferring"))
        self._learned.refer(self._after_row)
        if self._held_out is not None:
            self._held_out.refer(self._after_row)
        accuracy = self._measured.accuracy(self._after_row)
        trained = self._loop.run()
        if not trained.finished:
            raise StopRequestedError
        self._student.set_adapter_weights(trained.weights)
        loss_after = None if self._taught is None else mean_loss(self._taught, self._after_row)
        if loss_after is not None and not math.isfinite(loss_after):
            raise TrainingError(f"the validation loss became {loss_after} by the preference step")
        return Preferred(
            trained,
            Change(validation_loss, loss_after),
            Change(accuracy, self._measured.accuracy(self._after_row)),
            PAIRS if self._held_out is None else VALIDATION_PAIRS,
            len(self._measured.pairs),
        )

    @property
    def _measured(self) -> Preferring:
        """Pairs that were not learned say more than those that were."""
        return self._learned if self._held_out is None else self._held_out

    def _plan(self) -> None:
        self._loop.foresee()
        # The base model on all pairs, accuracy before and after, and the fine-tune's validation loss.
        passes: list[Objective] = [self._learned, self._measured, self._measured]
        passes += [each for each in (self._held_out, self._taught) if each is not None]
        self._reporter.plan(self._each * sum(map(_tokens, passes)), "preferring")

    @cached_property
    def _each(self) -> float:
        """Floating-point operations for a token of these passes, about the same in all of them."""
        shape, pairs = self._student.shape, self._learned
        counts = counted(pairs.examples_of(range(len(pairs.names))), self._student.row_tokens)
        return forward_work(shape, counts) / counts.tokens

    def _after_row(self, tokens: int) -> None:
        self._stop.check()
        self._reporter.work(tokens * self._each, "preferring")


def _tokens(objective: Objective) -> int:
    return objective.tokens(range(len(objective.names)))
