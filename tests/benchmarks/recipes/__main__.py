"""How well a recipe learns: students on real posts beside TF-IDF with logistic regression.

    python -m tests.benchmarks.recipes POSTS.csv --train 1000 --seed 0 --set epochs=3 --set layers=0.5

The posts are those of a CSV with `text` and `label`; the question is whether a post is hateful, so
every label but one counts. 1,000 posts are held out and 200 validate; training takes the first
of the others, so that a larger number contains the smaller. The fine-tune is the application's own
job. One line of a markdown table is printed; docs/training.md has those that were measured.
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
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline

from training.base_model import default_cache, resolve
from training.job import PRESETS, Config, Job
from training.policy import Category, Policy

POLICY = Policy(
    categories=(
        Category(
            code="hate",
            name="Hate",
            definition=(
                "demeans, insults, threatens or excludes people for their origin, religion, gender, "
                "orientation or disability, openly or by implication, irony, stereotype or coded words."
            ),
        ),
    )
)
_HELD_OUT, _VALIDATED = 1000, 200
_SPLIT_SEED = 2023


def main(
    posts: Annotated[Path, typer.Argument(help="A CSV with the columns text and label.")],
    train: Annotated[int, typer.Option(help="Posts to learn from.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of LoRA weights and data order.")] = 0,
    preset: Annotated[str, typer.Option(help="Where the settings start from.")] = "standard",
    setting: Annotated[list[str] | None, typer.Option("--set", help="A setting, as NAME=VALUE.")] = None,
    none_label: Annotated[str, typer.Option(help="The label that breaks no rule.")] = "not_hate",
) -> None:
    """Fine-tune once and print what came out."""
    frame = pd.read_csv(posts).sample(frac=1, random_state=_SPLIT_SEED)
    frame["hateful"] = frame["label"] != none_label
    held_out, rest = frame[:_HELD_OUT], frame[_HELD_OUT:]
    validation, learned = rest[:_VALIDATED], rest[_VALIDATED : _VALIDATED + train]
    config = _config(preset, setting or [], seed)
    with tempfile.TemporaryDirectory(prefix="overrule-recipe-") as scratch:
        folder = Path(scratch)
        _write(folder, config, learned, validation, held_out)
        done = subprocess.run([sys.executable, "-m", "training", str(folder)], check=False)
        result = json.loads((folder / "result.json").read_text("utf-8"))
        if done.returncode:
            raise SystemExit(f"the fine-tune failed: {result['reason']}")
        scores = pd.read_parquet(folder / "predictions" / "held_out.parquet")["p_hate"]
    hateful = held_out["hateful"].to_numpy()
    what = ", ".join([preset, *(setting or [])])
    figures: list[Any] = [
        f"{average_precision_score(hateful, scores):.3f}",
        f"{average_precision_score(hateful, _regression(learned, held_out)):.3f}",
        f"{result['training']['best_step']} of {result['training']['steps']}",
        f"{result['timings']['training'] / 60:.1f} min",
        result["hardware"]["weights"],
    ]
    typer.echo(f"| {' | '.join([what, f'{train:,}', str(seed), *figures])} |")


def _config(preset: str, settings: list[str], seed: int) -> Config:
    values: dict[str, Any] = dict(each.split("=", 1) for each in settings)
    return Config.model_validate(PRESETS[preset].model_dump() | values | {"seed": seed})


def _write(
    folder: Path, config: Config, learned: pd.DataFrame, validation: pd.DataFrame, held_out: pd.DataFrame
) -> None:
    base = resolve("default", default_cache())
    Job(
        kind="train", base_model=str(base), policy=POLICY, config=config, sets=("held_out",), max_labels=1
    ).write(folder)
    (folder / "sets").mkdir()
    for name, frame in (("train", learned), ("validation", validation)):
        labels = [["hate"] if hateful else [] for hateful in frame["hateful"]]
        columns = {"id": frame.index, "text": frame["text"], "labels": labels}
        empty = pd.Series([None] * len(frame), dtype="object", index=frame.index)
        pd.DataFrame(columns | {"analysis": empty, "harmful": [[]] * len(frame)}).to_parquet(
            folder / f"{name}.parquet", index=False
        )
    pd.DataFrame({"id": held_out.index, "text": held_out["text"]}).to_parquet(
        folder / "sets" / "held_out.parquet", index=False
    )


def _regression(learned: pd.DataFrame, held_out: pd.DataFrame) -> Any:
    """The scores of TF-IDF with logistic regression, taught the same posts."""
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LogisticRegression(max_iter=1000)
    )
    pipeline.fit(learned["text"], learned["hateful"])
    return pipeline.predict_proba(held_out["text"])[:, 1]


if __name__ == "__main__":
    typer.run(main)
