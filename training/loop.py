"""The fine-tuning loop: optimiser steps over packed rows, validation, checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from training import hardware
from training.checkpoints import Best, Checkpoints, Snapshot, random_states, restore_random_states
from training.cost import steps_in
from training.data import epoch_batches
from training.effort import Effort
from training.errors import LastingError
from training.gradients import Gradients
from training.job import Config
from training.layout import pack
from training.objective import Objective, first_epoch, mean_loss, without_number
from training.progress import Reporter
from training.prompt import Example
from training.ranks import KeepLower, Ranks
from training.schedule import is_better, learning_rate, validation_steps
from training.stop import Stop, StopRequestedError
from training.student import Student

_log = logging.getLogger(__name__)

_NAMED = 8
"""So many rows are named in a message."""


class TrainingError(LastingError):
    """Training cannot go on, for a loss or a gradient is no number; `hint` says what to change."""

    hint = "Lower the learning rate, or look at the rows; the last checkpoint before this step is kept."


class NoRoomToKeepError(Exception):
    """A resumed run kept what the frozen layers give, and has no room for it now; `hint` says what to do."""

    hint = "Free memory and resume. To learn without what was kept, begin a new run."

    def __init__(self, step: int) -> None:
        super().__init__(
            f"up to step {step} the run kept what the frozen layers give, and there is no room for that now; "
            "without it the run would go on otherwise than if it had never stopped"
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """How training ended.

    Attributes:
        finished: False where it was stopped on request, with a checkpoint.
        stopped_early: whether it ended before its last step for want of a better validation.
        step: optimiser steps done, of `steps`.
        resumed_from: the step of the checkpoint that it went on from.
        best_step: whose LoRA weights are kept; the last step where there is no validation.
        best_loss: the validation loss at that step.
        best_macro_f1: macro-F1 at that step, where that chooses.
        last_loss: the training loss of the last step that this process did.
        longest_row: tokens of the longest row that was still to learn from when this process began.
        kept_tokens: for which the frozen layers' states were kept.
        saving_seconds: of one checkpoint of this process on average.
        weights: the LoRA weights that are kept.
    """

    finished: bool
    stopped_early: bool
    step: int
    steps: int
    resumed_from: int | None
    best_step: int
    best_loss: float | None
    best_macro_f1: float | None
    last_loss: float | None
    longest_row: int
    kept_tokens: int
    saving_seconds: float
    weights: dict[str, Tensor]


class Judge(Protocol):
    """Says how good a student is on validation, where its loss is not to choose."""

    @property
    def macro_f1_work(self) -> float:
        """Floating-point operations that it takes."""

    def macro_f1(self, student: Student) -> float:
        """Macro-F1; reports its work as "validating".

        Raises:
            StopRequestedError: someone asked to stop.
        """


class Loop:
    """One run of training over a student's LoRA weights, whatever it is that it minimises.

    Args:
        student: with the LoRA weights to start from.
        objective: what is learned.
        validation: the same over what is not learned; its loss chooses the weights that are kept.
            None keeps the last.
        config: the settings.
        checkpoints: where to save, and where to go on from.
        reporter: where to tell of it.
        stop: looked at between steps.
        judge: where given, its macro-F1 chooses the weights that are kept, and not the loss.
        ranks: the processes that learn together.
        checkpoint_seconds: how often to save between validations.
    """

    def __init__(
        self,
        student: Student,
        objective: Objective,
        validation: Objective | None,
        config: Config,
        *,
        checkpoints: Checkpoints,
        reporter: Reporter,
        stop: Stop,
        judge: Judge | None = None,
        ranks: Ranks | None = None,
        checkpoint_seconds: float = 60.0,
    ) -> None:
        self.student = student
        self.objective = objective
        self.validation = validation
        self.config = config
        self.checkpoints = checkpoints
        self.reporter = reporter
        self.stop = stop
        self.judge = judge
        self.ranks = ranks or Ranks()
        self.checkpoint_seconds = checkpoint_seconds

        self.count = len(objective.names)
        self.steps = steps_in(self.count, config)
        self.marks = validation_steps(self.steps, config.validations) if validation is not None else set()
        self.parameters = student.trained_parameters()
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._gradients = Gradients(objective)
        self._effort = Effort(
            *(student, objective, validation, config, reporter),
            judging=judge.macro_f1_work if judge else 0.0,
            devices=self.ranks.size,
        )
        self.step = 0
        self.validated = 0
        self.best: Best | None = None
        self.kept_lower: bool | None = None
        self.last_loss: float | None = None
        self._saved: tuple[int, int] | None = None
        self._saved_at = time.monotonic()
        self._saves: list[float] = []
        self._order: tuple[int, list[list[int]]] | None = None

    def foresee(self) -> None:
        """Tell the reporter what lies ahead."""
        batches = (self.batch(step) for step in range(self.step, self.steps))
        self._effort.plan(batches, sum(mark > self.validated for mark in self.marks))

    def run(self) -> Trained:
        """Train to the end, or until someone asks to stop.

        Raises:
            TrainingError: the loss is no number any more.
            MemoryShortError: an example does not fit into memory alone.
            NoRoomToKeepError: it goes on from a checkpoint, and not as it would have without a stop.
            OSError: the disk is full; the last complete checkpoint is intact.
        """
        resumed_from = self._resume()
        self._keep_lower()
        self.foresee()
        self.reporter.begin()
        finished = self._to_the_end()
        self._save()
        stopped_early = finished and self.step < self.steps
        if finished:
            self._effort.drop()
        if stopped_early:
            self._say_stopped_early()
        best = self.best
        return Trained(
            finished=finished,
            stopped_early=stopped_early,
            step=self.step,
            steps=self.steps,
            resumed_from=resumed_from,
            best_step=best.step if best else self.step,
            best_loss=best.loss if best else None,
            best_macro_f1=best.macro_f1 if best else None,
            last_loss=self.last_loss,
            longest_row=self._effort.longest_row,
            kept_tokens=self._effort.kept_tokens,
            saving_seconds=sum(self._saves) / max(1, len(self._saves)),
            weights=best.weights if best else self.student.adapter_weights(),
        )

    def _keep_lower(self) -> None:
        """Have the frozen layers computed once for each example: in its first batch's company.

        What is kept is rounded in that company, so a resumed run keeps to what was decided at its
        beginning, whatever memory is free now.

        Raises:
            NoRoomToKeepError: the run kept it before the stop, and cannot now.
        """
        if self.kept_lower is False:
            return
        groups = first_epoch(self.objective, self.config)
        held_out: list[Sequence[Example]] = []
        if self.validation is not None:
            everything = self.validation.examples_of(range(len(self.validation.names)))
            held_out = [row.examples for row in pack(everything, self.student.row_tokens)]
        kept = self._effort.keep_lower(groups, held_out)
        if self.kept_lower and not kept and (self._to_validate or not self._at_end):
            raise NoRoomToKeepError(self.step)
        self.kept_lower = self.kept_lower or kept
        if kept:
            self.ranks.send(KeepLower(self.objective.stage.training))

    def _to_the_end(self) -> bool:
        """Train; False where someone asked to stop before the end."""
        try:
            while True:
                if self._to_validate:
                    self._validate()
                if self._at_end:
                    return True
                self.stop.check()
                self._train_step()
                # Before a validation nothing is saved: that saves by itself, and only what has a loss.
                if not self._to_validate and time.monotonic() - self._saved_at > self.checkpoint_seconds:
                    self._save()
        except StopRequestedError:
            # Where the last step is done and its validation is not, that is taken after the resume.
            return False

    @property
    def _to_validate(self) -> bool:
        return self.step in self.marks and self.validated < self.step

    @property
    def _at_end(self) -> bool:
        return self.step == self.steps or self._out_of_patience

    def batch(self, step: int) -> list[int]:
        """What a step learns, by index."""
        epoch, position = divmod(step, math.ceil(self.count / self.config.batch_size))
        if self._order is None or self._order[0] != epoch:
            order = epoch_batches(self.count, self.config.batch_size, self.config.seed, epoch)
            self._order = (epoch, order)
        return self._order[1][position]

    def gradients(self, batch: Sequence[int]) -> float:
        """Add a batch's gradients; its loss is summed over its rows and divided once.

        Returns:
            The loss.
        """
        return self._gradients.add(batch, batch)

    def _train_step(self) -> None:
        stage = self.objective.stage
        batch = self.batch(self.step)
        rate = learning_rate(self.step, self.steps, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        share = partial(self._gradients.anew, batch)
        loss = self.ranks.learn(stage.training, batch, self.parameters.values(), share)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_grad_norm).item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            rows = _named(self.objective, batch, self._gradients.without_number(batch))
            raise TrainingError(
                f"the {_in_words(stage.loss)} became {loss} and the gradient's norm {norm} "
                f"at step {self.step + 1} of {self.steps}, over {rows}"
            )
        self.optimizer.step()
        self.step += 1
        self.last_loss = loss
        told: dict[str, Any] = {stage.loss: loss} | self._effort.step(batch)
        self.reporter.write(
            stage.training,
            always=self.step in {1, self.steps},
            step=self.step,
            steps=self.steps,
            epoch=self._epoch(),
            learning_rate=rate,
            memory_mb=hardware.memory_mb(self.student.device),
            **told,
        )

    def _epoch(self) -> float:
        return self.step * self.config.epochs / self.steps

    def _validate(self) -> None:
        """Take the validation loss, and macro-F1 where that chooses.

        Raises:
            StopRequestedError: someone asked to stop.
            TrainingError: the validation loss is no number.
        """
        assert self.validation is not None, "without validation there are no marks"
        stage = self.objective.stage
        loss = mean_loss(self.validation, self._after_row)
        if not math.isfinite(loss):
            everything = range(len(self.validation.names))
            message = f"the {_in_words(stage.validation_loss)} became {loss}; each row is looked at alone"
            self.reporter.write(stage.validating, step=self.step, steps=self.steps, message=message)
            found = without_number(self.validation, everything, lambda _: self.stop.check())
            raise TrainingError(
                f"the {_in_words(stage.validation_loss)} became {loss} at step {self.step} of {self.steps}, "
                f"over {_named(self.validation, everything, found)}"
            )
        macro_f1 = self.judge.macro_f1(self.student) if self.judge else None
        self.validated = self.step
        best = is_better(loss, macro_f1, self.best)
        if best:
            self.best = Best(loss, self.step, self.student.adapter_weights(), macro_f1)
        _log.info(
            "%s, step %d of %d: %s %.5f%s%s",
            stage.training,
            self.step,
            self.steps,
            _in_words(stage.validation_loss),
            loss,
            "" if macro_f1 is None else f", macro-F1 {macro_f1:.4f}",
            " (best)" if best else "",
        )
        losses: dict[str, Any] = {stage.loss: self.last_loss, stage.validation_loss: loss}
        self.reporter.write(
            stage.validating,
            step=self.step,
            steps=self.steps,
            epoch=self._epoch(),
            macro_f1=macro_f1,
            memory_mb=hardware.memory_mb(self.student.device),
            best=best,
            **losses,
        )
        self._save()

    def _after_row(self, tokens: int) -> None:
        self.stop.check()
        self._effort.validated(tokens)

    @property
    def _out_of_patience(self) -> bool:
        """Whether the last validations were none better than the best before them.

        It follows from what a checkpoint holds, so a resumed run ends where the other would have.
        """
        after = self.best.step if self.best else 0
        waited = sum(after < mark <= self.validated for mark in self.marks)
        return self.config.patience is not None and waited >= self.config.patience

    def _say_stopped_early(self) -> None:
        what = "macro-F1" if self.judge else "validation loss"
        patience = self.config.patience
        message = f"stopped early: no better {what} for {patience} validation{'s' if patience != 1 else ''}"
        stage = self.objective.stage.training
        _log.info("%s, step %d of %d: %s", stage, self.step, self.steps, message)
        self.reporter.write(stage, step=self.step, steps=self.steps, message=message)

    def _save(self) -> None:
        if self._saved == (self.step, self.validated):
            return
        begun = time.monotonic()
        self.checkpoints.save(
            Snapshot(
                step=self.step,
                validated=self.validated,
                weights=self.student.adapter_weights(),
                optimizer=self._optimizer_state(),
                row_tokens=self.student.row_tokens,
                random=random_states(),
                best=self.best,
                kept_lower=self.kept_lower,
            )
        )
        self._saved = (self.step, self.validated)
        self._saved_at = time.monotonic()
        self._saves.append(self._saved_at - begun)
        self.reporter.begin()

    def _resume(self) -> int | None:
        snapshot = self.checkpoints.latest()
        if snapshot is None:
            return None
        self.student.set_adapter_weights(snapshot.weights)
        self._set_optimizer_state(snapshot.optimizer)
        restore_random_states(snapshot.random)
        self.student.row_tokens = snapshot.row_tokens
        self.step, self.validated, self.best = snapshot.step, snapshot.validated, snapshot.best
        self.kept_lower = snapshot.kept_lower
        self._saved = (self.step, self.validated)
        _log.info(
            "%s: going on from the checkpoint of step %d of %d",
            self.objective.stage.training,
            self.step,
            self.steps,
        )
        return snapshot.step

    def _optimizer_state(self) -> dict[str, Tensor]:
        return {
            f"{name}/{quantity}": value.detach().to("cpu", copy=True)
            for name, parameter in self.parameters.items()
            for quantity, value in self.optimizer.state.get(parameter, {}).items()
        }

    def _set_optimizer_state(self, state: dict[str, Tensor]) -> None:
        numbers = {name: number for number, name in enumerate(self.parameters)}
        by_number: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            name, quantity = key.rsplit("/", 1)
            by_number.setdefault(numbers[name], {})[quantity] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": by_number, "param_groups": groups})


def _named(objective: Objective, batch: Sequence[int], found: Iterable[int]) -> str:
    """The rows that are found to have no number; all of them, where none has none by itself."""
    ids = list(dict.fromkeys(str(objective.names[index]) for index in found))
    if not ids:
        every = dict.fromkeys(str(objective.names[index]) for index in batch)
        return f"rows of which none alone does it: {_listed(list(every))}"
    return f"the row{'s' if len(ids) > 1 else ''} {_listed(ids)}"


def _in_words(field: str) -> str:
    return field.replace("_", " ")


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
