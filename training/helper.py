"""A process that helps the one that leads a run (training/ranks.py)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

from training import hardware, methods
from training.balance import balanced
from training.collective import HelperError, own_part, receive, together
from training.data import encode, read_rows
from training.gradients import Gradients
from training.job import PAIRS, Config, Job
from training.machine import settle_memory
from training.objective import Objective, Teaching, first_epoch
from training.pairs import encode_pairs, read_pairs
from training.preference import Preferring
from training.prompt import Renderer
from training.ranks import Begin, KeepLower, Learn, Message, Refer
from training.student import Student

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stage:
    """A part of the fine-tune, as the leader has it."""

    objective: Objective
    config: Config


def help_out() -> None:
    """Do what the leader asks for until it asks no more, or one process fails; the leader tells of it."""
    begin = receive()
    if not isinstance(begin, Begin):
        return
    try:
        with own_part():
            helper = Helper(begin)
        while (asked := receive()) is not None:
            helper.do(asked)
    except HelperError as error:
        _log.warning("%s", error)


class Helper:
    """The leader's student and examples once more."""

    def __init__(self, begin: Begin) -> None:
        job = Job.read(begin.folder)
        hardware.use_threads()
        settle_memory()
        device = hardware.choose_device(job.device)
        self._student = methods.begin(begin.base, job.config, device, job.base_model)
        self._parameters = list(self._student.trained_parameters().values())
        stages = _stages(job, begin, self._student)
        self._stages = {each.objective.stage.training: each for each in stages}
        self._gradients = {name: Gradients(each.objective) for name, each in self._stages.items()}

    def do(self, asked: Message) -> None:
        """Do what the leader asks for."""
        match asked:
            case KeepLower(name):
                stage = self._stages[name]
                self._student.keep_lower(first_epoch(stage.objective, stage.config))
            case Refer(name):
                objective = self._stages[name].objective
                assert isinstance(objective, Preferring), "only a preference refers to the base model"
                objective.refer(lambda _: None)
            case Learn(name, batch):
                together(batch, self._parameters, partial(self._gradients[name].anew, batch))
            case _:
                raise AssertionError("a run begins once")


def _stages(job: Job, begin: Begin, student: Student) -> list[_Stage]:
    config, renderer = job.config, Renderer(begin.base, job.policy)
    rows = read_rows(begin.folder / "train.parquet", labelled=True)
    taught = encode(rows, renderer, config.answers, config.max_length)
    examples = balanced(taught, taught, config.balance)
    stages = [_Stage(Teaching(student, examples, taught.ids), config)]
    if config.preference is not None:
        pairs = encode_pairs(
            read_pairs(begin.folder / f"{PAIRS}.parquet"), renderer, config.answers, config.max_length
        )
        preferring = Preferring(student, pairs.pairs, pairs.ids, config.preference.beta)
        stages.append(_Stage(preferring, config.of_preference_step))
    return stages
