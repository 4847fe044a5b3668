"""The machine's matrix speed, by `torch.mm` in the shapes of the model's linear layers.

Settings: `tokens`, rows of the left matrix; `shapes`, pairs of inputs and outputs, each as often
as one layer has it; `seconds`, about how long a turn takes; `square`, the size of a square product
that is measured beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from tests.benchmarks.training.turns import Turns


def rate(product: Callable[[], object], flops: float, seconds: float, turns: Turns) -> float:
    """FLOP/s over about so many seconds, after one product to warm up."""
    product()
    turns.wait_for_device()
    began = time.perf_counter()
    count = 0
    while count == 0 or time.perf_counter() - began < seconds:
        for _ in range(4):
            product()
        count += 4
        turns.wait_for_device()
    return count * flops / (time.perf_counter() - began)


@torch.no_grad()
def main() -> None:
    turns = Turns.from_command_line()
    settings = turns.task.settings
    tokens, square = settings["tokens"], settings["square"]
    shapes = [tuple(shape) for shape in settings["shapes"]]
    each = settings["seconds"] / (len(set(shapes)) + 1)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(*size, dtype=turns.dtype, device=turns.device)

    while turns.begin():
        # Weights lie as a linear layer keeps them, (outputs, inputs).
        speeds = {}
        for inputs, outputs in sorted(set(shapes)):
            left, right = random(tokens, inputs), random(outputs, inputs).t()
            out = random(tokens, outputs)
            work = 2.0 * tokens * inputs * outputs
            speeds[inputs, outputs] = rate(lambda: torch.mm(left, right, out=out), work, each, turns)  # noqa: B023
        left, right = random(square, square), random(square, square)
        squared = rate(lambda: torch.mm(left, right), 2.0 * square**3, each, turns)  # noqa: B023
        seconds = turns.stop()
        work = sum(2.0 * tokens * a * b for a, b in shapes)
        time_needed = sum(2.0 * tokens * a * b / speeds[a, b] for a, b in shapes)
        turns.tell(
            seconds,
            [],
            [],
            None,
            flops_per_second=work / time_needed,
            square_flops_per_second=squared,
            by_shape={f"{tokens}x{a}x{b}": speed for (a, b), speed in speeds.items()},
        )


main()
