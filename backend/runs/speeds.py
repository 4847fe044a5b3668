"""How fast this computer trains: told by finished runs, else measured by a short run that is thrown away."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from backend.db.migrate import ROOT
from backend.db.models import Run
from backend.errors import OverruleError
from backend.jobs.devices import gpus
from backend.jobs.launcher import local_environment
from backend.runs import folder as job_folder
from backend.settings import Settings
from backend.text import as_sentence
from training.adapter import config_hash
from training.files import write_json
from training.job import THRESHOLDS, Config
from training.job import Job as TrainerJob
from training.policy import Policy
from training.speed import Machine, Speed, pace_key

MEASURED = "a measurement"
"""What a pace's source is called where it is no run."""

_STEPS = {"cpu": 6, "cuda": 24}
_BATCH = {"cpu": 8, "cuda": 32}
"""Of a measurement: enough for a steady pace, and over in seconds."""

_VALIDATED, _SCORED = 16, 24
_LIMIT = 300.0
_LIMIT_AFTER = 60.0
"""Seconds that a measurement may take, and then to save and stop."""


@dataclass(frozen=True, slots=True)
class Pace:
    """An earlier job's speed, with what it was done by.

    Attributes:
        config: its settings.
        source: what people call it, "run 2" or "a measurement".
        alike: whether its settings go as fast as those that are asked about.
    """

    speed: Speed
    config: Config
    source: str
    alike: bool = True

    @property
    def knows_peak(self) -> bool:
        """Whether it came to a job's peak of memory: a measurement scores too few posts for that."""
        return self.source != MEASURED


@dataclass(frozen=True, slots=True)
class Trial:
    """What a measurement needs to know of a fine-tune."""

    base_model: str
    base_folder: Path
    policy: Policy
    config: Config
    sample: pd.DataFrame


def best_pace(base_folder: Path, config: Config, runs: Sequence[Run], settings: Settings) -> Pace | None:
    """The pace to estimate with: of equal settings before others, of runs before measurements, newest first.

    Only what was done here counts, with this base model and these versions; where trainers run
    elsewhere (on Ray), what was done there.
    """
    here = None if settings.launcher == "ray" else Machine.here()
    key, base = pace_key(config), config_hash(base_folder)
    fitting = [
        Pace(speed, of, source, speed.pace == key)
        for speed, of, source in (*_of_runs(runs), *_measured(settings))
        if speed.base_model == base and here in (None, speed.machine)
    ]
    # Sorting is stable: what comes first among equals stays first.
    return next(iter(sorted(fitting, key=lambda pace: not pace.alike)), None)


def _of_runs(runs: Iterable[Run]) -> Iterator[tuple[Speed, Config, str]]:
    for run in runs:
        speed = Speed.of(run.result or {})
        if speed is not None:
            yield speed, Config.model_validate(run.config), f"run {run.number}"


def _measured(settings: Settings) -> Iterator[tuple[Speed, Config, str]]:
    files = sorted(_folder(settings).glob("*.json"), key=lambda path: -path.stat().st_mtime)
    for path in files:
        # One that another version wrote, or nobody finished, says nothing.
        with suppress(OSError, ValueError, KeyError, ValidationError):
            document = json.loads(path.read_text("utf-8"))
            yield (
                Speed.model_validate(document["speed"]),
                Config.model_validate(document["config"]),
                MEASURED,
            )


def _folder(settings: Settings) -> Path:
    return settings.home / "speeds"


def measure(trial: Trial, settings: Settings) -> Speed:
    """Do a short run of the real trainer on some of the real rows, and keep how fast it was.

    Raises:
        OverruleError: it failed, in the trainer's words, or is too slow to be measured.
    """
    device = "cuda" if gpus() else "cpu"
    config = trial.config.model_copy(
        update={
            "batch_size": min(trial.config.batch_size, _BATCH[device]),
            **{"epochs": 1, "validations": 1, "patience": None, "choose": "loss", "preference": None},
        }
    )
    with tempfile.TemporaryDirectory(prefix="overrule-speed-") as scratch:
        folder = Path(scratch)
        _write(trial, config, _STEPS[device] * config.batch_size, folder)
        _run(folder, settings)
        result = job_folder.read_result(folder)
    speed = Speed.of(result or {})
    if speed is None:
        reason = (result or {}).get("reason") or "the trainer gave no reason"
        if (result or {}).get("status") == "stopped":
            reason = f"a few steps take longer than {_LIMIT / 60:.0f} minutes here"
        raise OverruleError(
            f"The speed could not be measured: {as_sentence(reason)}", (result or {}).get("hint") or ""
        )
    speed = speed.model_copy(update={"pace": pace_key(trial.config)})
    name = f"{speed.base_model[:16]}-{speed.pace[:16]}.json"
    document: dict[str, Any] = {"speed": speed.model_dump(mode="json"), "config": config.model_dump()}
    write_json(_folder(settings) / name, document)
    return speed


def _write(trial: Trial, config: Config, rows: int, folder: Path) -> None:
    """A job's folder with so many rows, the same ones again where there are fewer."""
    again = -(-rows // len(trial.sample))
    train = pd.concat([trial.sample] * again, ignore_index=True).head(rows)
    job_folder.write_rows(folder / "train.parquet", [train])
    job_folder.write_rows(folder / f"{job_folder.VALIDATION}.parquet", [train.head(_VALIDATED)])
    job_folder.write_rows(folder / "sets" / f"{THRESHOLDS}.parquet", [train.head(_SCORED)])
    TrainerJob(
        kind="train",
        base_model=str(trial.base_folder),
        policy=trial.policy,
        config=config,
        sets=(THRESHOLDS,),
    ).write(folder)


def _run(folder: Path, settings: Settings) -> None:
    environment = local_environment(settings)
    if gpus():
        environment["CUDA_VISIBLE_DEVICES"] = gpus()[0]
    process = subprocess.Popen(
        [sys.executable, "-m", "training", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment,
    )
    try:
        process.wait(_LIMIT)
    except subprocess.TimeoutExpired:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LIMIT_AFTER)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
