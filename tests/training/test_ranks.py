"""Several processes learn what one learns."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.training.conftest import make_pairs, write_job, write_pairs
from training.job import Config, Preference
from training.run import run
from training.stop import Stop

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def config(**fields: Any) -> Config:
    usual: dict[str, Any] = {"precision": "float32", "epochs": 3, "batch_size": 5, "validations": 3}
    return Config.model_validate(usual | {"max_length": 256, "rank": 4, "alpha": 8} | fields)


def start(folder: Path, *what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, *(what or ("-m", "training", str(folder)))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def curve(folder: Path, name: str) -> dict[int, float]:
    """A loss by its step."""
    lines = (folder / "progress.jsonl").read_text("utf-8").splitlines()
    return {event["step"]: event[name] for event in map(json.loads, lines) if name in event}


def losses(folder: Path, name: str) -> list[float]:
    return list(curve(folder, name).values())


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return found


def require_same_weights(folder: Path, other: Path) -> None:
    name = Path("adapter", "adapter_model.safetensors")
    weights, others = (safetensors.torch.load_file(each / name) for each in (folder, other))
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("layers", "preferring"), [(1.0, True), (0.5, False)])
def test_two_processes_have_the_loss_curve_of_one(
    tiny: Path, tmp_path: Path, layers: float, preferring: bool
) -> None:
    preference = Preference(batch_size=3, learning_rate=1e-3, epochs=2) if preferring else None
    for name in ("alone", "together"):
        folder = tmp_path / name
        write_job(folder, tiny, config=config(layers=layers, preference=preference), rows=23)
        write_pairs(folder / "pairs.parquet", make_pairs(8))
    assert run(str(tmp_path / "alone"), Stop()) == 0
    process = start(tmp_path / "together")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert result(tmp_path / "together")["hardware"]["devices"] == 2
    alone, together = (curve(tmp_path / folder, "validation_loss") for folder in ("alone", "together"))
    assert len(alone) == 3
    assert together == pytest.approx(alone, rel=1e-4)
    alone, together = (curve(tmp_path / folder, "preference_loss") for folder in ("alone", "together"))
    # Steps less than half a second apart are not told of, each time others; the first and last always are.
    told = alone.keys() & together.keys()
    assert told >= ({1, 6} if preferring else set())
    assert bool(alone) == bool(together) == preferring
    assert [together[step] for step in told] == pytest.approx([alone[step] for step in told], rel=1e-4)
    require_same_weights(tmp_path / "together", tmp_path / "alone")


def test_a_run_stopped_on_two_goes_on_with_one(tiny: Path, tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        write_job(tmp_path / name, tiny, config=config(epochs=30), rows=23)
    assert run(str(tmp_path / "whole"), Stop()) == 0
    process = start(tmp_path / "parts")
    deadline = time.monotonic() + 120
    while not (tmp_path / "parts" / "progress.jsonl").is_file() or not losses(tmp_path / "parts", "loss"):
        assert time.monotonic() < deadline, "it did not begin"
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert result(tmp_path / "parts")["status"] == "stopped"
    assert run(str(tmp_path / "parts"), Stop()) == 0
    assert result(tmp_path / "parts")["training"]["resumed_from"]
    assert losses(tmp_path / "parts", "validation_loss")[-1] == pytest.approx(
        losses(tmp_path / "whole", "validation_loss")[-1], rel=1e-2
    )


def test_a_job_that_cannot_be_done_lets_the_helpers_go(tiny: Path, tmp_path: Path) -> None:
    write_job(tmp_path, tiny, config=config())
    (tmp_path / "train.parquet").unlink()
    process = start(tmp_path)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert result(tmp_path)["status"] == "failed"
    assert "train.parquet is missing" in result(tmp_path)["reason"]


def test_all_hear_why_one_could_not_go_on(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from training import collective, ranks\n"
        "collective.join()\n"
        "try:\n"
        "    collective.agree(ValueError('a row is too long') if ranks.own() == 1 else None)\n"
        "except (ValueError, collective.HelperError) as error:\n"
        "    print(f'{ranks.own()}: {error}', flush=True)\n"
        "collective.leave()\n",
        "utf-8",
    )
    process = start(tmp_path, str(script))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "0: process 2 of 2 could not go on: a row is too long" in said
    assert "1: a row is too long" in said


@pytest.mark.parametrize(
    ("leader_does", "helper_does", "who_leave"),
    [
        ("from training import work", "from training.helper import help_out; help_out()", 2),
        (
            "leader.send(ranks.Begin(Path('job'), Path('model')))",
            "collective.receive(); collective.agree(None)",
            2,
        ),
        ("while True: leader.send(ranks.KeepLower('training'))", "os._exit(0)", 1),
    ],
    ids=["all is done", "the leader cannot load", "the helper is gone"],
)
def test_nothing_of_a_group_outlives_it(
    tmp_path: Path, leader_does: str, helper_does: str, who_leave: int
) -> None:
    """A group that something holds keeps its threads; they abort a process now and then as it ends."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, weakref\n"
        "from contextlib import suppress\n"
        "from pathlib import Path\n"
        "import torch.distributed as dist\n"
        "from training import collective, ranks\n"
        "collective.join()\n"
        "group = weakref.ref(dist.group.WORLD)\n"
        "assert group() is not None\n"
        "if ranks.own() == 0:\n"
        "    leader = collective.Leader()\n"
        "    with suppress(collective.HelperError):\n"
        f"        {leader_does}\n"
        "    leader.close()\n"
        "else:\n"
        "    with suppress(collective.HelperError):\n"
        f"        {helper_does}\n"
        "    collective.leave()\n"
        "print('left' if group() is None else 'held', flush=True)\n",
        "utf-8",
    )
    process = start(tmp_path, str(script))
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert (said.count("left"), said.count("held")) == (who_leave, 0), said
