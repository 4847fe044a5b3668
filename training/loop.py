"""The fine-tuning loop: optimiser steps over packed rows, validation, checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training import hardware
from training.checkpoints import Best, Checkpoints, Snapshot, random_states, restore_random_states
from training.data import epoch_batches
from training.fitting import in_rows_that_fit
from training.job import Config
from training.layout import pack, tokens_computed
from training.objective import Objective, mean_loss
from training.progress import Reporter
from training.stop import Stop, StopRequestedError
from training.student import Student

_log = logging.getLogger(__name__)

_BACKWARD = 1.5
"""Work of a token backward through all layers, in units of one computed forward; a rough ratio."""


class TrainingError(Exception):
    """Training cannot go on; `hint` says what to change."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Trained:
    """How training ended.

    Attributes:
        finished: False where it was stopped on request, with a checkpoint.
        step: optimiser steps done, of `steps`.
        resumed_from: the step of the checkpoint that it went on from.
        best_step: whose LoRA weights are kept; the last step where there is no validation.
        best_loss: the validation loss at that step.
        last_loss: the training loss of the last step that this process did.
        weights: the LoRA weights that are kept.
    """

    finished: bool
    step: int
    steps: int
    resumed_from: int | None
    best_step: int
    best_loss: float | None
    last_loss: float | None
    weights: dict[str, Tensor]


def steps_in(count: int, config: Config) -> int:
    """Optimiser steps of a whole run over `count` examples."""
    return config.epochs * math.ceil(count / config.batch_size)


def learning_rate(step: int, steps: int, config: Config) -> float:
    """The rate of a step (from 0): a straight rise, then a cosine to a tenth of the peak."""
    rise = math.ceil(config.warmup * steps)
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    share = (step - rise) / max(1, steps - rise)
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def validation_steps(steps: int, times: int) -> set[int]:
    """After which steps the validation loss is taken: evenly, the last one included."""
    return {math.ceil(index * steps / times) for index in range(1, times + 1)}


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
        checkpoint_seconds: float = 60.0,
    ) -> None:
        self.student = student
        self.objective = objective
        self.validation = validation
        self.config = config
        self.checkpoints = checkpoints
        self.reporter = reporter
        self.stop = stop
        self.checkpoint_seconds = checkpoint_seconds

        self.count = len(objective.names)
        self.steps = steps_in(self.count, config)
        self.marks = validation_steps(self.steps, config.validations) if validation is not None else set()
        self.parameters = student.trained_parameters()
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        # For each token trained and validated; the backward pass ends below the lowest layer that learns.
        self._upper = student.share_learning
        self._token_work, self._validated_work = 1 + _BACKWARD * self._upper, 1.0
        self._below = 0
        self.step = 0
        self.validated = 0
        self.best: Best | None = None
        self.last_loss: float | None = None
        self._saved: tuple[int, int] | None = None
        self._saved_at = time.monotonic()
        self._order: tuple[int, list[list[int]]] | None = None
        self._foreseen = 0.0

    def foresee(self) -> None:
        """Tell the reporter of the whole run already now, because other work comes before it."""
        self._foreseen = self._work_ahead()
        self.reporter.plan(self._foreseen)

    def run(self) -> Trained:
        """Train to the end, or until someone asks to stop.

        Raises:
            TrainingError: the loss is no number any more.
            MemoryShortError: an example does not fit into memory alone.
            OSError: the disk is full; the last complete checkpoint is intact.
        """
        resumed_from = self._resume()
        self._keep_lower()
        self.reporter.plan(self._work_ahead() - self._foreseen)
        self.reporter.begin()
        finished = self._to_the_end()
        self._save()
        best = self.best
        return Trained(
            finished=finished,
            step=self.step,
            steps=self.steps,
            resumed_from=resumed_from,
            best_step=best.step if best else self.step,
            best_loss=best.loss if best else None,
            last_loss=self.last_loss,
            weights=best.weights if best else self.student.adapter_weights(),
        )

    def _keep_lower(self) -> None:
        """Have the frozen layers computed once for each example: in its first batch's company."""
        first = epoch_batches(self.count, self.config.batch_size, self.config.seed, 0)
        groups = [self.objective.examples_of(batch) for batch in first]
        if self.validation is not None:
            everything = self.validation.examples_of(range(len(self.validation.names)))
            groups += [row.examples for row in pack(everything, self.student.row_tokens)]
        if self.student.keep_lower(groups):
            self._token_work, self._validated_work = (1 + _BACKWARD) * self._upper, self._upper
            tokens = sum(tokens_computed(group, self.student.row_tokens) for group in groups)
            self.reporter.plan((1 - self._upper) * tokens)

    def _to_the_end(self) -> bool:
        """Train; False where someone asked to stop before the end."""
        try:
            while True:
                if self.step in self.marks and self.validated < self.step:
                    self._validate()
                if self.step == self.steps:
                    return True
                self.stop.check()
                self._train_step()
                if time.monotonic() - self._saved_at > self.checkpoint_seconds:
                    self._save()
        except StopRequestedError:
            # Where the last step is done and its validation is not, that is taken after the resume.
            return False

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
        weight = self.objective.weight(batch)
        total = 0.0
        for of_row, _ in self.objective.losses(batch):
            loss = of_row / weight
            torch.autograd.backward(loss)
            total += loss.item()
        return total

    def _gradients_anew(self, batch: Sequence[int]) -> float:
        """A batch's gradients alone: what an attempt that failed has added is gone."""
        self.optimizer.zero_grad(set_to_none=True)
        return self.gradients(batch)

    def _train_step(self) -> None:
        started = time.monotonic()
        stage = self.objective.stage
        batch = self.batch(self.step)
        rate = learning_rate(self.step, self.steps, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        examples = self.objective.examples_of(batch)
        loss = in_rows_that_fit(self.student, examples, lambda: self._gradients_anew(batch))
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_grad_norm).item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            rows = ", ".join(str(self.objective.names[index]) for index in batch[:8])
            raise TrainingError(
                f"the {stage.loss.replace('_', ' ')} became {loss} and the gradient's norm {norm} "
                f"at step {self.step + 1} of {self.steps}, over the rows {rows}",
                "lower the learning rate; the last checkpoint before this step is kept",
            )
        self.optimizer.step()
        self.step += 1
        self.last_loss = loss
        tokens = self.objective.tokens(batch)
        self._report_work(self._token_work * tokens)
        seconds = time.monotonic() - started
        of_stage: dict[str, Any] = {stage.loss: loss}
        self.reporter.write(
            stage.training,
            always=self.step in {1, self.steps},
            step=self.step,
            steps=self.steps,
            epoch=self._epoch(),
            learning_rate=rate,
            examples_per_second=len(batch) / seconds,
            tokens_per_second=tokens / seconds,
            memory_mb=hardware.memory_mb(self.student.device),
            **of_stage,
        )

    def _report_work(self, units: float) -> None:
        """Count work, and what the frozen layers were computed for meanwhile."""
        below = self.student.tokens_below - self._below
        self._below += below
        self.reporter.work(units + (1 - self._upper) * below)

    def _epoch(self) -> float:
        return self.step * self.config.epochs / self.steps

    def _validate(self) -> None:
        """Take the validation loss.

        Raises:
            StopRequestedError: someone asked to stop.
        """
        assert self.validation is not None, "without validation there are no marks"
        stage = self.objective.stage
        loss = mean_loss(self.validation, self._after_row)
        self.validated = self.step
        best = math.isfinite(loss) and (self.best is None or loss < self.best.loss)
        if best:
            self.best = Best(loss, self.step, self.student.adapter_weights())
        _log.info(
            "%s, step %d of %d: validation loss %.5f%s",
            stage.training,
            self.step,
            self.steps,
            loss,
            " (best)" if best else "",
        )
        losses: dict[str, Any] = {
            stage.loss: self.last_loss,
            stage.validation_loss: loss if math.isfinite(loss) else None,
        }
        self.reporter.write(
            stage.validating,
            step=self.step,
            steps=self.steps,
            epoch=self._epoch(),
            memory_mb=hardware.memory_mb(self.student.device),
            best=best,
            **losses,
        )
        self._save()

    def _after_row(self, tokens: int) -> None:
        self.stop.check()
        self._report_work(self._validated_work * tokens)

    def _work_ahead(self) -> float:
        """What is left to do, in the reporter's units."""
        work = sum(
            self._token_work * self.objective.tokens(self.batch(step))
            for step in range(self.step, self.steps)
        )
        ahead = sum(mark > self.validated for mark in self.marks)
        if self.validation is not None and ahead:
            work += ahead * self._validated_work * self.validation.tokens(range(len(self.validation.names)))
        return work

    def _save(self) -> None:
        if self._saved == (self.step, self.validated):
            return
        self.checkpoints.save(
            Snapshot(
                step=self.step,
                validated=self.validated,
                weights=self.student.adapter_weights(),
                optimizer=self._optimizer_state(),
                random=random_states(),
                best=self.best,
            )
        )
        self._saved = (self.step, self.validated)
        self._saved_at = time.monotonic()
        self.reporter.begin()

    def _resume(self) -> int | None:
        snapshot = self.checkpoints.latest()
        if snapshot is None:
            return None
        self.student.set_adapter_weights(snapshot.weights)
        self._set_optimizer_state(snapshot.optimizer)
        restore_random_states(snapshot.random)
        self.step, self.validated, self.best = snapshot.step, snapshot.validated, snapshot.best
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
