"""What is said before a fine-tune of the sample project beside what is then measured.

    python -m tests.benchmarks.training.estimate
    python -m tests.benchmarks.training.estimate quick standard --set epochs=1

The first preset is estimated from a measurement, each later one from the runs before it. Everything
lies in a folder that is thrown away, but for the base model. Nothing else should run meanwhile: a
pace that was taken on a quiet machine is none for a busy one. It ends with 1 where a figure is more
than a fifth off.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from backend.cli.follow import carry_out
from backend.curation.service import CurationService
from backend.db.engine import Database, get_database
from backend.db.migrate import migrate
from backend.db.models import DatasetVersion
from backend.db.models.curation import Handling
from backend.intake.sample import load_sample
from backend.runs.choices import configure
from backend.runs.estimates import EstimateService
from backend.runs.service import RunService
from backend.runs.speeds import measure
from backend.runs.views import Estimate
from backend.settings import Settings, get_settings
from training.base_model import default_cache
from training.machine import MEGABYTE

ALLOWED = 0.2


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimate and what came of it."""

    name: str
    said: float
    measured: float

    @property
    def off(self) -> float:
        return self.said / self.measured - 1


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def figures(estimate: Estimate, result: dict) -> list[Figure]:
    """The figures that a page shows; those that end the comparison come first."""
    assert estimate.phases is not None and estimate.memory is not None
    timings, peak = result["timings"], result["peak_memory_mb"]
    loading = timings["starting"] + timings["loading"]
    total = loading + timings["training"] + timings["scoring"]
    return [
        Figure("seconds in all", estimate.phases.total, total),
        Figure("memory, MB", estimate.memory / 1e6, (peak.get("gpu") or peak["process"]) * MEGABYTE / 1e6),
        Figure("seconds of training", estimate.phases.training, timings["training"]),
        Figure("seconds of scoring", estimate.phases.scoring, timings["scoring"]),
        Figure("seconds of loading", estimate.phases.loading, loading),
    ]


def compare(
    database: Database,
    settings: Settings,
    version: DatasetVersion,
    preset: str,
    changes: dict[str, str],
    *,
    trial: bool,
) -> list[Figure]:
    """Estimate a fine-tune, do it, and print both."""
    config = configure(preset, changes)
    with database.read() as session:
        service = EstimateService(session, settings)
        rough = service.estimate(version.id, config).memory
        wanted = service.trial(version.id, config) if trial else None
    if wanted is not None:
        measure(wanted, settings)
    with database.write() as session:
        estimate = EstimateService(session, settings).estimate(version.id, config)
        run = RunService(session, settings).start(
            version.project_id, version_id=version.id, preset=preset, config=config, person="benchmark"
        )
    carry_out(database, settings, run.job_id)
    with database.read() as session:
        result = RunService(session, settings).of_job(run.job_id).result
    assert result is not None
    found = figures(estimate, result)
    say(f"\n{preset}: estimated from {estimate.pace}")
    say(f"{'':22}{'said':>10}{'measured':>10}{'off':>8}")
    for figure in found:
        say(f"{figure.name:22}{figure.said:10.1f}{figure.measured:10.1f}{figure.off:+8.0%}")
    if trial and rough is not None:
        formula = Figure("memory by formula, MB", rough / 1e6, found[1].measured)
        say(f"{formula.name:22}{formula.said:10.1f}{formula.measured:10.1f}{formula.off:+8.0%}")
    speeds = ", ".join(f"{of} {pace / 1e9:,.1f}" for of, pace in result["speed"]["flops_per_second"].items())
    say(f"GFLOP/s: {speeds}; checkpoint {result['speed']['saving_seconds']:.2f} s")
    computed = (
        f"tokens of a pass: {estimate.tokens:,} computed, {estimate.peer_tokens:,} one by one and padded"
    )
    say(f"{computed}, {estimate.learned_tokens:,} learned")
    return found[:2]


def main() -> int:
    """Compare each preset that was named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", default=["quick"])
    parser.add_argument("--set", dest="changes", action="append", default=[], help="epochs=1")
    given = parser.parse_args()
    changes = dict(change.split("=", 1) for change in given.changes)
    os.environ.setdefault("OVERRULE_MODEL_CACHE", str(default_cache()))
    with tempfile.TemporaryDirectory(prefix="overrule-estimate-") as home:
        os.environ["OVERRULE_HOME"] = home
        settings, database = get_settings(), get_database()
        Path(home).mkdir(exist_ok=True)
        migrate(database)
        with database.write() as session:
            project = load_sample(session, person="benchmark")
            version = CurationService(session).build(project.id, Handling.REVIEW, person="benchmark").version
        found = [
            figure
            for number, preset in enumerate(given.presets)
            for figure in compare(database, settings, version, preset, changes, trial=number == 0)
        ]
        database.dispose()
    return int(any(abs(figure.off) > ALLOWED for figure in found))


if __name__ == "__main__":
    sys.exit(main())
