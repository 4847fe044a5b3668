"""Baselines at work in a job's folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.baselines.own_words import write_words
from backend.evaluation.baselines.predicted import by, predict

CODES = ("scam", "insult")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sets").mkdir()
    posts = pd.DataFrame({"id": ["7", "3"], "text": ["send the code", "stupid clown"]})
    posts.to_parquet(tmp_path / "sets" / "set-1.parquet")
    posts.assign(labels=[["scam"], ["insult"]]).to_parquet(tmp_path / "sets" / "thresholds.parquet")
    texts = ["send the bank code", "stupid clown", "good bread"] * 10
    pd.DataFrame(
        {"id": range(30), "text": texts, "labels": [["scam"], ["insult"], []] * 10, "analysis": None}
    ).to_parquet(tmp_path / "train.parquet")
    return tmp_path


def predictions(folder: Path, baseline: Baseline, name: str = "set-1") -> Path:
    return folder / "predictions" / by(baseline) / f"{name}.parquet"


def test_every_set_is_scored_in_the_files_of_a_student(folder: Path) -> None:
    predict(folder, CODES)
    for baseline in (Baseline.REGRESSION, Baseline.WORD_LIST):
        found = pd.read_parquet(predictions(folder, baseline))
        assert list(found.columns) == ["id", "p_scam", "p_insult", "any_violation"]
        assert found["id"].tolist() == ["7", "3"]
        assert found["p_scam"].idxmax() == 0 and found["p_insult"].idxmax() == 1
        assert predictions(folder, baseline, "thresholds").is_file()
    profane = pd.read_parquet(predictions(folder, Baseline.PROFANITY))
    assert list(profane.columns) == ["id", "any_violation"]
    assert np.argmax(profane["any_violation"]) == 1


def test_what_is_there_is_not_done_again(folder: Path) -> None:
    predict(folder, CODES)
    kept = predictions(folder, Baseline.REGRESSION)
    pd.DataFrame({"id": ["kept"]}).to_parquet(kept)
    predictions(folder, Baseline.REGRESSION, "thresholds").unlink()
    predict(folder, CODES)
    assert pd.read_parquet(kept)["id"].tolist() == ["kept"]
    assert predictions(folder, Baseline.REGRESSION, "thresholds").is_file()


def test_without_rows_to_learn_from_only_those_are_there_that_learn_nothing(folder: Path) -> None:
    (folder / "train.parquet").unlink()
    predict(folder, CODES)
    assert [one for one in Baseline if predictions(folder, one).is_file()] == [Baseline.PROFANITY]


def test_a_teams_own_list_is_scored_where_the_folder_has_one(folder: Path) -> None:
    write_words(folder, 2, {"clown": ["insult"], "CODE": ["gone"]})
    predict(folder, CODES)
    found = pd.read_parquet(predictions(folder, Baseline.OWN_WORDS))
    assert found.to_dict("list") == {"id": ["7", "3"], "p_insult": [0.0, 1.0], "any_violation": [1.0, 1.0]}
    assert predictions(folder, Baseline.OWN_WORDS, "thresholds").is_file()


@pytest.mark.parametrize(
    ("model", "stored", "name"),
    [
        (
            BaselineModel(Baseline.REGRESSION, 12),
            "regression of version 12",
            "Logistic regression, version 12",
        ),
        (BaselineModel(Baseline.OWN_WORDS, 2), "own-words of version 2", "Your word list, version 2"),
        (BaselineModel(Baseline.PROFANITY), "profanity", "alt-profanity-check"),
    ],
)
def test_a_baseline_is_read_back_from_its_name(model: BaselineModel, stored: str, name: str) -> None:
    assert (model.model, model.name) == (stored, name)
    assert BaselineModel.of(stored) == model
