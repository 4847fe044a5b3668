"""A stand-in for the trainer that starts at once.

It keeps the job folder's contract as the trainer does: events, checkpoints, SIGTERM, results. So
workers and trainers can be killed in a few seconds; the real trainer has tests of its own.

    python -m tests.backend.jobs.stand_in -m training JOB
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from training.progress import Reporter

STEPS = int(os.environ.get("STAND_IN_STEPS", "3"))
SECONDS = 0.1
HASH = "p" * 64


def train(folder: Path) -> int:
    """Count to STEPS, from the newest checkpoint on."""
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    if os.environ.get("STAND_IN_FAILS"):
        why = {"reason": "the loss became nan", "hint": "lower the learning rate", "fails_again": True}
        return result(folder, "failed", **why)
    if os.environ.get("STAND_IN_GIVES_UP"):
        sys.stderr.write("no module named so\n")
        return 1
    (folder / "result.json").unlink(missing_ok=True)
    reporter = Reporter(folder / "progress.jsonl")
    checkpoints = folder / "checkpoints"
    first = max((int(path.name[5:]) for path in checkpoints.glob("step-*")), default=0)
    reporter.begin()
    for step in range(first + 1, STEPS + 1):
        reporter.write("training", step=step, steps=STEPS, loss=1 / step)
        (checkpoints / f"step-{step:08d}").mkdir(parents=True)
        time.sleep(SECONDS)
        if stop:
            result(folder, "stopped", hint="Resume goes on from the checkpoint.")
            return 3
    predict(folder)
    (folder / "metrics.json").write_text("{}")
    return result(folder, "done", resumed_from=first)


def result(folder: Path, status: str, **about: object) -> int:
    document = {"status": status, "hashes": {"prompt": HASH}, "rows": {}, "timings": {"training": 1.0}}
    (folder / "result.json").write_text(json.dumps(document | about))
    return 0 if status == "done" else 1


def predict(folder: Path) -> None:
    """Give every post and category one half, so that nobody is right by luck."""
    import pandas as pd

    from training.job import BASE, BEFORE_PREFERENCE, Job

    job = Job.read(folder)
    places = ["", *([BASE] if job.score_base else [])]
    places += [BEFORE_PREFERENCE] if job.config.preference else []
    files = {path.stem: path for path in (folder / "sets").glob("*.parquet")}
    if (folder / "validation.parquet").is_file():
        files["validation"] = folder / "validation.parquet"
    for place in places:
        (folder / "predictions" / place).mkdir(parents=True, exist_ok=True)
        for name, path in files.items():
            table = pd.DataFrame({"id": pd.read_parquet(path)["id"]})
            for code in job.policy.codes:
                table[f"p_{code}"] = 0.5
            table.assign(valid_mass=1.0).to_parquet(folder / "predictions" / place / f"{name}.parquet")


if __name__ == "__main__":
    sys.exit(train(Path(sys.argv[-1])))
