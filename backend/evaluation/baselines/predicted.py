"""Baselines at work in a trainer's folder, beside the student's predictions.

    JOB/predictions/baselines/NAME/SET.parquet   id, p_<code>…, any_violation

They learn from the folder's `train.parquet`, so from the very rows that the student learned
from; without that file only those are there that learn nothing. The team's own word list lies
beside it as `word_list.json`, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from backend.evaluation.baselines import profanity
from backend.evaluation.baselines.names import Baseline
from backend.evaluation.baselines.own_words import fit_own_words, has_words, read_words
from backend.evaluation.baselines.regression import fit_regression
from backend.evaluation.baselines.taught import Posts, Scorer
from backend.evaluation.baselines.word_list import fit_word_list
from training.files import write_parquet

_TRAIN = "train.parquet"
_ANY = "any_violation"
_FIT: dict[Baseline, Callable[[Posts], Scorer]] = {
    Baseline.REGRESSION: fit_regression,
    Baseline.WORD_LIST: fit_word_list,
}


def by(baseline: Baseline) -> str:
    """Where its predictions lie, as `job_folder.read_predictions` takes it."""
    return f"baselines/{baseline}"


def predict(folder: Path, codes: Sequence[str]) -> None:
    """Score the posts of all of a folder's sets by each baseline; what is there already stays.

    Args:
        folder: a job's, with `sets/` and, for the baselines that learn, `train.parquet`.
        codes: the policy's categories.
    """
    sets = sorted((folder / "sets").glob("*.parquet"))
    for baseline in _possible(folder):
        missing = [path for path in sets if not _predictions(folder, baseline, path.stem).is_file()]
        if missing:
            scorer, columns = _scorer(baseline, folder, codes)
            for path in missing:
                posts = pd.read_parquet(path, columns=["id", "text"])
                scores = pd.DataFrame(scorer(posts["text"].tolist()), columns=columns)
                scores.insert(0, "id", posts["id"])
                into = _predictions(folder, baseline, path.stem)
                into.parent.mkdir(parents=True, exist_ok=True)
                write_parquet(into, scores)


def _possible(folder: Path) -> list[Baseline]:
    taught = (folder / _TRAIN).is_file()
    installed = profanity.is_installed()
    possible = {Baseline.OWN_WORDS: has_words(folder), Baseline.PROFANITY: installed}
    return [one for one in Baseline if possible.get(one, taught)]


def _scorer(baseline: Baseline, folder: Path, codes: Sequence[str]) -> tuple[Scorer, list[str]]:
    """What scores, and the columns that it gives."""
    if baseline is Baseline.PROFANITY:
        return profanity.score, [_ANY]
    if baseline is Baseline.OWN_WORDS:
        scorer, known = fit_own_words(read_words(folder)[1], codes)
        return scorer, [*(f"p_{code}" for code in known), _ANY]
    rows = pd.read_parquet(folder / _TRAIN, columns=["text", "labels"])
    posts = Posts(rows["text"].tolist(), [tuple(labels) for labels in rows["labels"]], codes)
    return _FIT[baseline](posts), [*(f"p_{code}" for code in codes), _ANY]


def _predictions(folder: Path, baseline: Baseline, name: str) -> Path:
    return folder / "predictions" / by(baseline) / f"{name}.parquet"
