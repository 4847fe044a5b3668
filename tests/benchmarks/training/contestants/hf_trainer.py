"""What the contestants built on transformers' Trainer share: turns are taken between its steps."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from tests.benchmarks.training.turns import Turns, leave


class TakesTurns(TrainerCallback):
    """Waits for each turn where a Trainer's epoch ends, with the step that ends it."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.calls_in_first = 0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self.calls_in_first:
            self.calls_in_first = len(self.turns.losses)
        # Packing may lay the examples into more or fewer rows than was reckoned.
        steps_in_epoch = state.max_steps // int(args.num_train_epochs)
        if state.global_step % steps_in_epoch == 0:
            self.turns.end(self.calls_in_first)
            self._begin()

    def _begin(self) -> None:
        self.calls_in_first = 0
        if not self.turns.begin():
            leave()


def listen(trainer: type[Any], turns: Turns) -> None:
    """Let a Trainer's class tell what it gives to its model and which losses it gets back."""
    inner = trainer.training_step

    def training_step(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        turns.saw(inputs["input_ids"], inputs["labels"])
        loss = inner(self, model, inputs, *args, **kwargs)
        turns.losses.append(loss)
        return loss

    trainer.training_step = training_step
