"""The command line of the trainer's benchmarks."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from tests.benchmarks.training import models
from tests.benchmarks.training.contest import ContestError
from tests.benchmarks.training.environments import InstallError, names, python_of
from tests.benchmarks.training.growth import growth as measure_growth
from tests.benchmarks.training.posts import SAMPLE, PostsError
from tests.benchmarks.training.setting import Report, Setting, say
from tests.benchmarks.training.share import share as measure_share
from tests.benchmarks.training.speed import speed as measure_speed
from tests.benchmarks.training.speed import tune as measure_tune
from tests.benchmarks.training.start import StartError
from tests.benchmarks.training.start import start as measure_start
from training import base_model, hardware
from training.job import Precision

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Shape = Literal["tiny", "llama-8b"]
Device = Literal["auto", "cpu", "cuda"]
Peer = Literal["trl", "llamafactory", "padded_loop"]

PostsOption = Annotated[Path, typer.Option(help="A CSV file with the columns text and labels, or label.")]
ModelOption = Annotated[str, typer.Option(help="A folder, a hub id, or default.")]
ShapeOption = Annotated[Shape | None, typer.Option(help="Random weights of this shape instead of a model.")]
DeviceOption = Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")]
PrecisionOption = Annotated[Precision, typer.Option(help="auto is bf16 where the device has units for it.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Examples in an optimiser step.")]
StepsOption = Annotated[int | None, typer.Option(min=1, help="Steps in a turn; 1 on a CPU, 16 on a GPU.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="Turns of each contestant that count.")]
PolicyOption = Annotated[int, typer.Option(min=1, help="About how many tokens stand before a post.")]
OnlyOption = Annotated[list[str] | None, typer.Option(help="Peers to be measured against; without it all.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="A file for all figures.")]


def _run(
    benches: list[Callable[[Setting], Report]],
    *,
    posts: Path,
    model: str,
    shape: Shape | None,
    device: Device,
    precision: Precision,
    rounds: int,
    json_path: Path | None,
    batch: int = 16,
    steps: int | None = None,
) -> None:
    """Measure, print each table as soon as it is there, and keep all figures."""
    # Else a contestant would go on computing on its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    hardware.use_threads()
    torch_device = hardware.choose_device(device)
    folder = base_model.resolve(model, base_model.default_cache())
    if shape is not None:
        folder = models.make(shape, folder, torch_device)
    reports = []
    with tempfile.TemporaryDirectory(prefix="overrule-benchmark-") as scratch:
        for number, bench in enumerate(benches):
            own = Path(scratch) / str(number)
            own.mkdir()
            setting = Setting(
                model=folder,
                model_name=shape if shape is not None else model,
                device=torch_device,
                precision=precision,
                posts_path=posts,
                batch=batch,
                batches=steps or (1 if torch_device.type == "cpu" else 16),
                rounds=rounds,
                folder=own,
            )
            try:
                report = bench(setting)
            except (ContestError, InstallError, PostsError, StartError) as error:
                say(f"Not measured: {error}")
                raise typer.Exit(1) from error
            typer.echo(f"\n{report.markdown()}\n")
            reports.append({"title": report.title} | report.data)
            if json_path is not None:
                json_path.write_text(json.dumps(reports, indent=1), "utf-8")


@app.command()
def speed(
    posts: PostsOption = SAMPLE,
    model: ModelOption = "default",
    shape: ShapeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch: BatchOption = 16,
    steps: StepsOption = None,
    rounds: RoundsOption = 5,
    policy: PolicyOption = 250,
    only: OnlyOption = None,
    json_path: JsonOption = None,
) -> None:
    """Examples a second against TRL, LLaMA-Factory and a hand-written padded loop."""
    _run(
        [lambda setting: measure_speed(setting, policy, only or [])],
        posts=posts,
        model=model,
        shape=shape,
        device=device,
        precision=precision,
        batch=batch,
        steps=steps,
        rounds=rounds,
        json_path=json_path,
    )


@app.command()
def growth(
    posts: PostsOption = SAMPLE,
    model: ModelOption = "default",
    shape: ShapeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    rounds: RoundsOption = 5,
    json_path: JsonOption = None,
) -> None:
    """Time for an example with a policy of 1,000 tokens instead of 250."""
    _run(
        [measure_growth],
        posts=posts,
        model=model,
        shape=shape,
        device=device,
        precision=precision,
        rounds=rounds,
        json_path=json_path,
    )


@app.command()
def share(
    posts: PostsOption = SAMPLE,
    model: ModelOption = "default",
    shape: ShapeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch: BatchOption = 16,
    steps: StepsOption = None,
    rounds: RoundsOption = 5,
    policy: PolicyOption = 250,
    json_path: JsonOption = None,
) -> None:
    """Share of the machine's measured matrix speed."""
    _run(
        [lambda setting: measure_share(setting, policy)],
        posts=posts,
        model=model,
        shape=shape,
        device=device,
        precision=precision,
        batch=batch,
        steps=steps,
        rounds=rounds,
        json_path=json_path,
    )


@app.command()
def start(
    posts: PostsOption = SAMPLE,
    model: ModelOption = "default",
    shape: ShapeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    rounds: RoundsOption = 5,
    policy: PolicyOption = 250,
    json_path: JsonOption = None,
) -> None:
    """Seconds from the command to the first step."""
    _run(
        [lambda setting: measure_start(setting, policy)],
        posts=posts,
        model=model,
        shape=shape,
        device=device,
        precision=precision,
        rounds=rounds,
        json_path=json_path,
    )


@app.command(name="all")
def everything(
    posts: PostsOption = SAMPLE,
    model: ModelOption = "default",
    shape: ShapeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch: BatchOption = 16,
    steps: StepsOption = None,
    rounds: RoundsOption = 5,
    policy: PolicyOption = 250,
    json_path: JsonOption = None,
) -> None:
    """All of them, one after another."""
    _run(
        [
            lambda setting: measure_start(setting, policy),
            lambda setting: measure_share(setting, policy),
            measure_growth,
            lambda setting: measure_speed(setting, policy, []),
        ],
        posts=posts,
        model=model,
        shape=shape,
        device=device,
        precision=precision,
        batch=batch,
        steps=steps,
        rounds=rounds,
        json_path=json_path,
    )


@app.command()
def tune(
    peer: Peer,
    posts: PostsOption = SAMPLE,
    model: ModelOption = "default",
    shape: ShapeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch: BatchOption = 16,
    steps: StepsOption = None,
    rounds: RoundsOption = 2,
    policy: PolicyOption = 250,
    only: Annotated[list[str] | None, typer.Option(help="Settings to try; without it all.")] = None,
    json_path: JsonOption = None,
) -> None:
    """Try a peer's settings against each other, to find its best."""
    _run(
        [lambda setting: measure_tune(setting, policy, peer, only or [])],
        posts=posts,
        model=model,
        shape=shape,
        device=device,
        precision=precision,
        batch=batch,
        steps=steps,
        rounds=rounds,
        json_path=json_path,
    )


@app.command()
def environments() -> None:
    """Make the peers' environments, which else are made when they are first needed."""
    for name in names():
        typer.echo(f"{name}: {python_of(name, say)}")


app()
