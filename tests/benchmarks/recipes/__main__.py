"""How well a recipe learns: students on real posts beside TF-IDF with logistic regression.

    python -m tests.benchmarks.recipes POSTS.csv --train 1000 --seed 0 --set epochs=3 --set layers=0.5

The posts are those of a CSV with `text` and `label`, and for the other task `kind`
(`tests/benchmarks/recipes/tasks.py`). 1,000 posts are held out and 200 validate; training takes
the first of the others, so that a larger number contains the smaller. The fine-tune is the
application's own job. One line of a markdown table is printed, the macro-AUPRC over the
categories and then each; docs/training.md has those that were measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from backend.evaluation.baselines.regression import fit_regression
from backend.evaluation.baselines.taught import Posts
from tests.benchmarks.recipes.tasks import Task, TaskName, read_task
from training.base_model import default_cache, resolve
from training.job import PRESETS, Config, Job

_HELD_OUT, _VALIDATED = 1000, 200
_SPLIT_SEED = 2023


def main(
    posts: Annotated[Path, typer.Argument(help="A CSV with the columns text and label.")],
    task: Annotated[TaskName, typer.Option(help="Hateful or not, or of which kind.")] = "hateful",
    train: Annotated[int, typer.Option(help="Posts to learn from.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of LoRA weights and data order.")] = 0,
    preset: Annotated[str, typer.Option(help="Where the settings start from.")] = "standard",
    setting: Annotated[list[str] | None, typer.Option("--set", help="A setting, as NAME=VALUE.")] = None,
    none_label: Annotated[str, typer.Option(help="The label that breaks no rule.")] = "not_hate",
) -> None:
    """Fine-tune once and print what came out."""
    of = read_task(posts, task, none_label)
    frame = of.posts.sample(frac=1, random_state=_SPLIT_SEED)
    held_out, rest = frame[:_HELD_OUT], frame[_HELD_OUT:]
    validation, learned = rest[:_VALIDATED], rest[_VALIDATED : _VALIDATED + train]
    config = _config(preset, setting or [], seed)
    with tempfile.TemporaryDirectory(prefix="overrule-recipe-") as scratch:
        folder = Path(scratch)
        _write(folder, of, config, learned, validation, held_out)
        done = subprocess.run([sys.executable, "-m", "training", str(folder)], check=False)
        result = json.loads((folder / "result.json").read_text("utf-8"))
        if done.returncode:
            raise SystemExit(f"the fine-tune failed: {result['reason']}")
        predicted = pd.read_parquet(folder / "predictions" / "held_out.parquet")
    student = {code: predicted[f"p_{code}"].to_numpy() for code in of.policy.codes}
    figures = [
        _told(held_out, student),
        _told(held_out, _regressions(of, learned, held_out)),
        f"{result['training']['best_step']} of {result['training']['steps']}",
        f"{result['timings']['training'] / 60:.1f} min",
        result["hardware"]["weights"],
    ]
    what = ", ".join([task, preset, *(setting or [])])
    typer.echo(f"| {' | '.join([what, f'{train:,}', str(seed), *figures])} |")


def _config(preset: str, settings: list[str], seed: int) -> Config:
    values: dict[str, Any] = dict(each.split("=", 1) for each in settings)
    return Config.model_validate(PRESETS[preset].model_dump() | values | {"seed": seed})


def _write(
    folder: Path,
    of: Task,
    config: Config,
    learned: pd.DataFrame,
    validation: pd.DataFrame,
    held_out: pd.DataFrame,
) -> None:
    base = resolve("default", default_cache())
    Job(
        kind="train",
        base_model=str(base),
        policy=of.policy,
        config=config,
        sets=("held_out",),
        max_labels=1,
    ).write(folder)
    (folder / "sets").mkdir()
    for name, frame in (("train", learned), ("validation", validation)):
        rows = frame.rename_axis("id").reset_index()
        rows["harmful"] = [[] for _ in rows.index]
        rows.to_parquet(folder / f"{name}.parquet", index=False)
    held_out["text"].rename_axis("id").reset_index().to_parquet(
        folder / "sets" / "held_out.parquet", index=False
    )


def _named(frame: pd.DataFrame, code: str) -> pd.Series[bool]:
    return frame["labels"].map(lambda labels: code in labels)


def _told(held_out: pd.DataFrame, scores: dict[str, NDArray[Any]]) -> str:
    """The mean of the categories' AUPRC, and where there are several also each."""
    each = [average_precision_score(_named(held_out, code), given) for code, given in scores.items()]
    macro = f"{sum(each) / len(each):.3f}"
    return macro if len(each) == 1 else f"{macro} ({', '.join(f'{value:.2f}' for value in each)})"


def _regressions(of: Task, learned: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """The scores of TF-IDF with logistic regression, taught the same posts, one for each category."""
    taught = Posts(learned["text"].tolist(), learned["labels"].tolist(), of.policy.codes)
    scores = fit_regression(taught)(held_out["text"].tolist())
    return dict(zip(of.policy.codes, scores.T, strict=False))


if __name__ == "__main__":
    typer.run(main)
