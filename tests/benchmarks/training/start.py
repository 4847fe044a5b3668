"""From the command to the first optimiser step."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from tests.benchmarks.training.figures import Figure, verdict
from tests.benchmarks.training.posts import ROOT, policy_of
from tests.benchmarks.training.setting import Bars, Report, Setting, say
from training.job import Config, Job
from training.progress import read

_BARS: Bars = {"cpu": 15, "cuda": 15}
_TRAINED, _VALIDATED = 240, 60
_POST_TOKENS = 256
_MOST_SECONDS = 300.0


class StartError(Exception):
    """A job ended or went on without a first step; the message has what it said."""


def start(setting: Setting, policy_tokens: int) -> Report:
    """Start a prepared job as often as there are rounds, after one start that is not counted.

    The start that is not counted brings the model and the libraries into the page cache.
    """
    # As settings have it, unless the policy needs more.
    config = Config(max_length=max(Config().max_length, policy_tokens + _POST_TOKENS))
    prepared = _prepare(setting, policy_tokens, config)
    times = [_first_step(prepared, setting.folder / f"job-{number}") for number in range(setting.rounds + 1)]
    for number, (weights, step) in enumerate(times):
        say(f"start {number}: base model named after {weights:.2f} s, first step after {step:.2f} s")
    loading = Figure.of([weights for weights, _ in times[1:]])
    steps = Figure.of([step for _, step in times[1:]])
    return Report(
        "From the command to the first step",
        [
            f"`python -m training JOB` with {_TRAINED} posts to learn and {_VALIDATED} to validate, batch",
            f"{config.batch_size}, a policy of about {policy_tokens} tokens; the model in the page cache;",
            f"median of {setting.rounds} starts (least–most).",
        ],
        ("until", "seconds", "bar"),
        [
            ["its first word", loading.text(2), "–"],
            [
                "its first step is done",
                steps.text(2),
                verdict(steps.median, _BARS.get(setting.column), at_least=False),
            ],
        ],
        setting.about() | {"policy_tokens": policy_tokens, "seconds": [step for _, step in times]},
    )


def _prepare(setting: Setting, policy_tokens: int, config: Config) -> Path:
    """A job's folder as the application makes one."""
    folder = setting.folder / "prepared"
    policy = policy_of(setting.model, policy_tokens)
    Job(
        kind="train",
        base_model=str(setting.model),
        policy=policy,
        config=config,
        device=setting.device.type,
    ).write(folder)
    posts = setting.posts[: _TRAINED + _VALIDATED]
    for name, rows in (("train", posts[:_TRAINED]), ("validation", posts[_TRAINED:])):
        pd.DataFrame(
            {
                "id": [row.number for row in rows],
                "text": [row.text for row in rows],
                "labels": [list(row.labels) for row in rows],
            }
        ).to_parquet(folder / f"{name}.parquet")
    return folder


def _first_step(prepared: Path, folder: Path) -> tuple[float, float]:
    """Seconds from starting a job to its first event, and to its first step's."""
    shutil.copytree(prepared, folder)
    progress = folder / "progress.jsonl"
    first: float | None = None
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "training", str(folder)], cwd=ROOT, stdout=log, stderr=log
        )
        try:
            while time.perf_counter() - began < _MOST_SECONDS:
                events, _ = read(progress)
                passed = time.perf_counter() - began
                if events and first is None:
                    first = passed
                if first is not None and any(event.get("step", 0) >= 1 for event in events):
                    return first, passed
                if process.poll() is not None:
                    break
                time.sleep(0.01)
            raise StartError(f"no first step:\n{(folder.parent / f'{folder.name}.log').read_text()[-2000:]}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
