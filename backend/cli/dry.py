"""What a fine-tune would take, from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from backend.cli.output import messages, out, print_json
from backend.db.engine import get_database
from backend.runs.estimates import EstimateService
from backend.runs.speeds import measure
from backend.runs.views import Estimate
from backend.settings import get_settings
from training.job import Config


def say(
    version_id: int,
    config: Config,
    base_model: str | None,
    set_ids: Sequence[int],
    *,
    measured: bool,
    json: bool,
) -> None:
    """Print an estimate; with `measured` train a few steps first.

    Raises:
        OverruleError: the speed cannot be measured, or the base model cannot be taught.
    """
    settings, database = get_settings(), get_database()
    if measured:
        with database.read() as session:
            trial = EstimateService(session, settings).trial(version_id, config, base_model)
        messages.print("Training a few steps to see how fast this computer is …")
        measure(trial, settings)
    with database.read() as session:
        estimate = EstimateService(session, settings).estimate(version_id, config, base_model, set_ids)
    if json:
        print_json(asdict(estimate) | {"seconds": estimate.seconds, "config": config})
    else:
        _print(estimate)


def _print(estimate: Estimate) -> None:
    table = Table(box=None, show_header=False)
    for name, value in _lines(estimate):
        table.add_row(name, value)
    out.print(table)
    for caution in estimate.cautions:
        word = "Cannot work" if caution.fatal else "Caution"
        out.print(f"{word}: {caution.message} {caution.hint}", markup=False, highlight=False, soft_wrap=True)


def _lines(estimate: Estimate) -> list[tuple[str, str]]:
    lines = [("examples in a pass", _count(estimate.examples)), ("steps", _count(estimate.steps))]
    lines += [
        ("learned tokens in a pass", _count(estimate.learned_tokens)),
        ("computed tokens in a pass", _count(estimate.tokens)),
        ("computed one by one and padded", _count(estimate.peer_tokens)),
    ]
    if estimate.phases is None:
        lines.append(("time", "not measured on this computer yet: --measure does it"))
    else:
        about = estimate.phases
        parts = ", ".join(f"{seconds:.0f} {name}" for name, seconds in asdict(about).items() if seconds)
        other = "" if estimate.pace_alike else ", which had other settings"
        lines.append(("time", f"{about.total:.0f} s ({parts}), at the pace of {estimate.pace}{other}"))
    if estimate.memory is not None:
        rough = "" if estimate.memory_measured else "roughly "
        free = estimate.memory_free / 1e9
        lines.append(("memory", f"{rough}{estimate.memory / 1e9:.1f} GB of {free:.1f} GB free"))
    return lines


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"
