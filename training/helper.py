"""A process that helps the one that leads a run (training/ranks.py)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from training import hardware, methods
from training.collective import receive, together
from training.data import encode, read_rows
from training.gradients import Gradients
from training.job import PAIRS, Config, Job
from training.objective import Objective, Teaching, first_epoch
from training.pairs import encode_pairs, read_pairs
from training.preference import Preferring
from training.prompt import Renderer
from training.ranks import Begin, KeepLower, Learn
from training.student import Student


@dataclass(frozen=True, slots=True)
class _Stage:
    """A part of the fine-tune, as the leader has it."""

    objective: Objective
    config: Config


def help_out() -> None:
    """Do what the leader asks for until it asks no more."""
    begin = receive()
    if not isinstance(begin, Begin):
        return
    job = Job.read(begin.folder)
    hardware.use_threads()
    device = hardware.choose_device(job.device)
    student = methods.begin(begin.base, job.config, device, job.base_model)
    stages = {each.objective.stage.training: each for each in _stages(job, begin, student)}
    parameters = list(student.trained_parameters().values())
    while (asked := receive()) is not None:
        match asked:
            case KeepLower(name):
                stage = stages[name]
                student.keep_lower(first_epoch(stage.objective, stage.config))
            case Learn(name, batch):
                objective = stages[name].objective
                if isinstance(objective, Preferring) and not objective.referred:
                    objective.refer(lambda _: None)
                together(batch, parameters, partial(Gradients(objective).anew, batch))
            case Begin():
                raise AssertionError("a run begins once")


def _stages(job: Job, begin: Begin, student: Student) -> list[_Stage]:
    config, renderer = job.config, Renderer(begin.base, job.policy)
    rows = read_rows(begin.folder / "train.parquet", labelled=True)
    taught = encode(rows, renderer, config.answers, config.max_length)
    stages = [_Stage(Teaching(student, taught.examples, taught.ids), config)]
    if config.preference is not None:
        pairs = encode_pairs(
            read_pairs(begin.folder / f"{PAIRS}.parquet"), renderer, config.answers, config.max_length
        )
        preferring = Preferring(student, pairs.pairs, pairs.ids, config.preference.beta)
        stages.append(_Stage(preferring, config.of_preference_step))
    return stages
