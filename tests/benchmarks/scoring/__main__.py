"""Posts a second of Overrule's scoring beside `generate` and beside full forwards.

    python -m tests.benchmarks.scoring --policy 1000 --precision float32

The scores are checked against a full forward for each valid answer first; where they differ,
nothing is reported. docs/benchmarks.md has what was measured.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from tests.benchmarks.scoring.contest import BATCHES, MAX_LABELS, Contest, OtherScoresError, Turns, play
from tests.benchmarks.training.figures import Figure, ratios, verdict
from tests.benchmarks.training.posts import SAMPLE, PostsError
from tests.benchmarks.training.setting import Report, say
from training import base_model, hardware
from training.job import Precision
from training.machine import settle_memory, use_huge_pages

_BAR = 10
_POLICIES = (250, 1000)


def main(
    posts: Annotated[
        Path, typer.Option(help="A CSV file with the columns text and labels, or label.")
    ] = SAMPLE,
    model: Annotated[str, typer.Option(help="A folder, a hub id, or default.")] = "default",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="auto is bf16 where the device has units.")] = "auto",
    policy: Annotated[list[int] | None, typer.Option(help="About how many tokens before a post.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Posts in a turn of Overrule.")] = 128,
    few: Annotated[int, typer.Option(min=1, help="Posts in a turn of the others.")] = 16,
    taught: Annotated[int, typer.Option(min=0, help="Posts that the student learns first.")] = 160,
    answered: Annotated[int, typer.Option(min=1, help="Of these, with a forward for each answer.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each that count.")] = 5,
    json_path: Annotated[Path | None, typer.Option("--json", help="A file for all figures.")] = None,
) -> None:
    """Measure, print a table for each policy, and keep all figures."""
    settle_memory()
    hardware.use_threads()
    folder = base_model.resolve(model, base_model.default_cache())
    reports = []
    for tokens in policy or _POLICIES:
        contest = Contest(
            *(folder, posts, hardware.choose_device(device), precision, count, few, answered),
            policy_tokens=tokens,
            taught=taught,
        )
        try:
            report = measure(contest, rounds)
        except (OtherScoresError, PostsError) as error:
            say(f"Not measured: {error}")
            raise typer.Exit(1) from error
        typer.echo(f"\n{report.markdown()}\n")
        reports.append({"title": report.title} | report.data)
        if json_path is not None:
            json_path.write_text(json.dumps(reports, indent=1), "utf-8")


def measure(contest: Contest, rounds: int) -> Report:
    """Check the scores, let everyone take turns, and set them beside each other.

    Raises:
        OtherScoresError: the scores are not those of a full forward.
    """
    load = os.getloadavg()[0]
    apart = contest.check()
    ours, *others = play(contest, rounds, say)
    prefix = len(contest.renderer.frame_ids("direct")[0])
    own = [len(prompt) - prefix for _, prompt, _ in contest.posts]
    answers = [answer for _, _, answer in contest.posts]
    dtype = str(contest.dtype).removeprefix("torch.")
    return Report(
        f"Scoring: policy of {prefix} tokens, {dtype}",
        [
            f"{contest.count} posts of {contest.posts_path.name}, {contest.few} for the others,",
            f"a student that learned {contest.taught} others;",
            f"{sum(own) / len(own):.0f} tokens each after the policy ({min(own)} to {max(own)});",
            f"{len(contest.tree.answers)} valid answers, {contest.tree.nodes} tokens as a tree;",
            f"right answers of {min(answers)} to {max(answers)} tokens;",
            f"median of {rounds} rounds (least–most).",
            f"Scores lie at most {apart:.1g} from those of a forward for each valid answer.",
        ],
        ("who", "posts/s", "Overrule is faster by", "bar"),
        [[ours.name, Figure.of(ours.speeds).text(2), "–", "–"], *(_row(one, ours) for one in others)],
        {
            "machine": hardware.describe(contest.device) | {"load_before": load},
            "weights": dtype,
            "policy_tokens": prefix,
            "max_labels": MAX_LABELS,
            "batches_tried": BATCHES,
            "apart": apart,
            "seconds": {one.name: one.seconds for one in (ours, *others)},
        },
    )


def _row(one: Turns, ours: Turns) -> list[str]:
    by = Figure.of(ratios(ours.speeds, one.speeds))
    bar = _BAR if one.name.startswith("`generate`") else None
    return [one.name, Figure.of(one.speeds).text(2), by.text(2, " ×"), verdict(by.median, bar)]


if __name__ == "__main__":
    use_huge_pages()
    typer.run(main)
