"""What a loop has ahead of it and has done, told to the reporter in floating-point operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training import hardware
from training.cost import Counts, counted, forward_work, learning_layers, lower_work, training_work
from training.job import Config
from training.objective import Objective
from training.progress import Phase, Reporter
from training.prompt import Example
from training.student import Student


class Effort:
    """Counts a loop's work.

    Args:
        student: is trained.
        objective: what is learned.
        validation: what is validated on, where anything is.
        config: the settings.
        reporter: is told.
        judging: floating-point operations of a validation beside those of its loss.
        devices: how many learn together.

    Attributes:
        longest_row: tokens of the longest row that was planned.
        kept_tokens: for which the frozen layers' states are kept.
    """

    def __init__(
        self,
        student: Student,
        objective: Objective,
        validation: Objective | None,
        config: Config,
        reporter: Reporter,
        judging: float = 0.0,
        devices: int = 1,
    ) -> None:
        self._student = student
        self._objective = objective
        self._config = config
        self._reporter = reporter
        self._judging = judging
        self._stage = objective.stage
        self._held_out = (
            Counts() if validation is None else self._counts(validation, range(len(validation.names)))
        )
        peak = hardware.device_peak(student.device)
        self._peak = None if peak is None else peak * devices
        self._ahead: dict[Phase, float] = {}
        self._lower: dict[Phase, float] = {}
        self._kept = False
        self._below = 0
        self._below_each = 0.0
        self.longest_row = 0
        self.kept_tokens = 0

    def plan(self, batches: Iterable[Sequence[int]], validations: int) -> None:
        """Tell what lies ahead, in place of what was told before.

        Args:
            batches: those still to learn, by index.
            validations: those still to take.
        """
        ahead = dict.fromkeys((self._stage.training, self._stage.validating), 0.0)
        for phase, units in self._lower.items():
            ahead[phase] += units
        for batch in batches:
            counts = self._counts(self._objective, batch)
            ahead[self._stage.training] += self._of_training(counts)
            self.longest_row = max(self.longest_row, counts.longest)
        ahead[self._stage.validating] += validations * (self._of_validation + self._judging)
        for phase, units in ahead.items():
            self._reporter.plan(units - self._ahead.get(phase, 0.0), phase)
        self._ahead = ahead

    def keep_lower(self, groups: Sequence[Sequence[Example]], held_out: Sequence[Sequence[Example]]) -> bool:
        """Have the student keep what the frozen layers give, if it can; a plan comes after it.

        Returns:
            Whether it does.
        """
        if not self._student.keep_lower([*groups, *held_out]):
            return False
        self._kept = True
        everything = (example for group in (*groups, *held_out) for example in group)
        self.kept_tokens = sum(len(example) - len(example.prefix) for example in everything)
        tokens = 0
        self._lower = dict.fromkeys((self._stage.training, self._stage.validating), 0.0)
        for phase, each in ((self._stage.training, groups), (self._stage.validating, held_out)):
            counts = sum((counted(group, self._student.row_tokens) for group in each), Counts())
            self._lower[phase] += lower_work(self._student.shape, self._config, counts)
            tokens += counts.tokens
        self._below_each = sum(self._lower.values()) / tokens
        return True

    def step(self, batch: Sequence[int]) -> dict[str, float | None]:
        """Tell that a step was done.

        Returns:
            How fast the last ones were, by the events' fields.
        """
        counts = self._counts(self._objective, batch)
        self._tell(
            self._of_training(counts),
            self._stage.training,
            examples=len(batch),
            tokens=counts.tokens,
            learned=counts.states,
        )
        rates = self._reporter.rates(self._stage.training)
        return {
            "examples_per_second": rates.get("examples"),
            "tokens_per_second": rates.get("tokens"),
            "learned_tokens_per_second": rates.get("learned"),
            "mfu": rates["units"] / self._peak if self._peak and rates else None,
        }

    def validated(self, tokens: int) -> None:
        """Tell that a row of so many tokens was validated on."""
        self._tell(tokens * self._of_validation / max(1, self._held_out.tokens), self._stage.validating)

    def drop(self) -> None:
        """Tell that what is left will not be done."""
        for phase, units in self._ahead.items():
            self._reporter.plan(-max(0.0, units), phase)
        self._ahead = {}

    def _tell(self, units: float, phase: Phase, **counts: float) -> None:
        """Report work, and what the frozen layers were computed for meanwhile, to be kept."""
        below = self._student.tokens_below - self._below
        self._below += below
        units += below * self._below_each
        self._ahead[phase] = self._ahead.get(phase, 0.0) - units
        self._reporter.work(units, phase, **counts)

    def _counts(self, objective: Objective, batch: Sequence[int]) -> Counts:
        return counted(objective.examples_of(batch), self._student.row_tokens)

    def _of_training(self, counts: Counts) -> float:
        return training_work(self._student.shape, self._config, counts, kept=self._kept)

    @property
    def _of_validation(self) -> float:
        """Floating-point operations of one validation loss."""
        shape = self._student.shape
        layers = learning_layers(shape, self._config) if self._kept else shape.layers
        return forward_work(shape, self._held_out, layers)
