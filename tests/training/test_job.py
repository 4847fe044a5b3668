"""Whole jobs through `python -m training`, in this process and in real ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from tests.training.conftest import POLICY, make_rows, write_job, write_rows
from training.__main__ import main
from training.adapter import Card, PromptMismatchError, weights_hash
from training.continuation import Prefix
from training.data import Row
from training.job import Config, Job
from training.policy import Policy
from training.progress import read
from training.prompt import Answers, Renderer
from training.run import run
from training.speed import Machine, Speed
from training.stop import Stop
from training.student import Student

ROOT = Path(__file__).parents[2]
LONG = Config(epochs=30, batch_size=2, validations=10, max_length=256, rank=4, alpha=8)


def do(folder: Path | str) -> int:
    return run(str(folder), Stop())


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "training", str(folder)], cwd=ROOT, stderr=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def done(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training job, with the base model scored too."""
    folder = tmp_path_factory.mktemp("jobs") / "done"
    write_job(folder, tiny, score_base=True)
    assert do(folder) == 0
    return folder


def test_a_training_job_leaves_all_that_the_contract_names(done: Path) -> None:
    result = result_of(done)
    assert result["status"] == "done"
    assert result["reason"] is None
    assert set(result["hashes"]) == {"job", "policy", "prompt", "data"}
    assert set(result["hashes"]["data"]) == {"train.parquet", "validation.parquet", "sets/test.parquet"}
    assert set(result["timings"]) == {"starting", "fetching", "loading", "training", "scoring"}
    speed = Speed.of(result)
    assert speed is not None
    assert speed.machine == Machine.here()
    assert set(speed.flops_per_second) == {"training", "validating", "scoring"}
    assert min(speed.flops_per_second.values()) > 0
    assert 0 < speed.saving_seconds < result["timings"]["training"]
    assert 0 < speed.longest_row <= speed.row_tokens
    assert result["rows"]["train"]["used"] == 24
    assert result["rows"]["train"]["labels"] == {"hate": 8, "scam": 8}
    assert result["rows"]["train"]["without_labels"] == 8
    assert result["hardware"]["weights"] == "float32"
    assert result["versions"]["torch"] == torch.__version__
    assert result["peak_memory_mb"]["process"] > 50
    assert result["training"]["best_step"] <= result["training"]["steps"] == 12
    columns = ["id", *(f"p_{code}" for code in POLICY.codes), "any_violation", "valid_mass"]
    for name, count in (("validation", 9), ("test", 7), ("base/validation", 9), ("base/test", 7)):
        table = pd.read_parquet(done / "predictions" / f"{name}.parquet")
        assert list(table.columns) == columns
        assert list(table["id"]) == [f"r{index}" for index in range(count)]
    assert {path.name for path in (done / "adapter").iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "overrule.json",
        "README.md",
    }
    phases = [event["phase"] for event in read(done / "progress.jsonl")[0]]
    assert list(dict.fromkeys(phases)) == ["loading", "training", "validating", "scoring", "done"]
    assert not (done / "checkpoints").exists()
    assert "validation loss" in (done / "log.txt").read_text()


def test_the_card_and_the_metrics_hold_thresholds(done: Path) -> None:
    card = Card.read(done / "adapter")
    metrics = json.loads((done / "metrics.json").read_text())
    assert card.prompt_hash == result_of(done)["hashes"]["prompt"]
    assert card.policy == POLICY
    assert card.forms == ("direct",)
    assert set(card.thresholds) == set(POLICY.codes)
    assert card.thresholds == metrics["model"]["thresholds"]
    assert metrics["base"]["thresholds"].keys() == card.thresholds.keys()
    assert metrics["model"]["validation"]["categories"]["scam"]["support"] == 3
    validation = metrics["model"]["validation"]
    # Of a category that no validation post has nothing is known, and the averages leave it out.
    assert validation["categories"]["xq"]["support"] == 0
    assert validation["categories"]["xq"]["auprc"] is None
    assert validation["categories"]["xq"]["f1"] is None
    found = [category["f1"] for category in validation["categories"].values() if category["support"]]
    assert validation["macro_f1"] == pytest.approx(sum(found) / len(found))


def test_a_done_job_is_not_done_again(done: Path) -> None:
    before = (done / "result.json").read_bytes()
    assert main([str(done)]) == 0
    assert (done / "result.json").read_bytes() == before


def score_job(folder: Path, base: Path, adapter: Path | None, **fields: Any) -> Job:
    job = write_job(folder, base, kind="score", adapter=None if adapter is None else str(adapter), **fields)
    (folder / "train.parquet").unlink()
    return job


def test_scoring_an_adapter_later_gives_the_same(done: Path, tiny: Path, tmp_path: Path) -> None:
    score_job(tmp_path / "again", tiny, done / "adapter")
    assert do(tmp_path / "again") == 0
    for name in ("validation", "test"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "again" / "predictions" / f"{name}.parquet"),
            pd.read_parquet(done / "predictions" / f"{name}.parquet"),
            atol=1e-6,
        )


def test_the_base_model_alone_can_be_scored(done: Path, tiny: Path, tmp_path: Path) -> None:
    score_job(tmp_path / "base", tiny, None)
    assert do(tmp_path / "base") == 0
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "base" / "predictions" / "test.parquet"),
        pd.read_parquet(done / "predictions" / "base" / "test.parquet"),
        atol=1e-6,
    )


def changed_policy() -> Policy:
    first, *rest = POLICY.categories
    return Policy(categories=(first.model_copy(update={"definition": "something else."}), *rest))


def test_scoring_under_another_prompt_is_refused(done: Path, tiny: Path, tmp_path: Path) -> None:
    score_job(tmp_path, tiny, done / "adapter", policy=changed_policy())
    assert do(tmp_path) == 1
    result = result_of(tmp_path)
    assert result["status"] == "failed"
    assert "trained under" in result["reason"]
    assert result["fails_again"]
    assert not (tmp_path / "predictions").exists()


@pytest.mark.parametrize("answers", ["direct", "explained"])
def test_a_card_holds_prompt_policy_and_base_model_to_what_was_learned(
    done: Path, tiny: Path, renderer: Renderer, answers: Answers
) -> None:
    card = Card.read(done / "adapter")
    config = card.config.model_copy(update={"answers": answers})
    card = card.model_copy(update={"config": config, "prompt_hash": renderer.hash_for(answers)})
    card.require(renderer, tiny)
    with pytest.raises(PromptMismatchError, match="trained under"):
        card.require(Renderer(tiny, changed_policy()), tiny)
    other: Answers = "explained" if answers == "direct" else "direct"
    with pytest.raises(PromptMismatchError, match="trained under"):
        card.model_copy(update={"prompt_hash": renderer.hash_for(other)}).require(renderer, tiny)


def test_a_prompt_other_than_the_job_says_is_refused(tiny: Path, tmp_path: Path) -> None:
    write_job(tmp_path, tiny, prompt_hash="0" * 64)
    assert do(tmp_path) == 1
    assert "000000000000" in result_of(tmp_path)["reason"]


def test_an_adapter_of_another_base_model_is_refused(done: Path, tiny: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-5}))
    score_job(tmp_path / "job", other, done / "adapter")
    assert do(tmp_path / "job") == 1
    assert "the base model in" in result_of(tmp_path / "job")["reason"]


def other_weights(tiny: Path, folder: Path) -> Path:
    """The tiny model with one of its tensors trained further."""
    shutil.copytree(tiny, folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"] *= 1.01
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_an_adapter_over_other_weights_of_the_same_configuration_is_refused(
    done: Path, tiny: Path, tmp_path: Path
) -> None:
    card = Card.read(done / "adapter")
    assert card.base_model.weights_hash == result_of(done)["base_model"]["weights"] == weights_hash(tiny)
    other = other_weights(tiny, tmp_path / "other")
    score_job(tmp_path / "job", other, done / "adapter")
    assert do(tmp_path / "job") == 1
    result = result_of(tmp_path / "job")
    assert "have the same configuration and the hash" in result["reason"]
    assert "train again" in result["reason"]
    assert result["fails_again"]
    assert result["base_model"]["weights"] == weights_hash(other)
    assert not (tmp_path / "job" / "predictions").exists()
    # Adapters of before do not say over which weights they learned.
    adapter = shutil.copytree(done / "adapter", tmp_path / "before")
    document = json.loads((adapter / "overrule.json").read_text())
    del document["base_model"]["weights_hash"]
    (adapter / "overrule.json").write_text(json.dumps(document))
    score_job(tmp_path / "old", other, adapter)
    assert do(tmp_path / "old") == 0


def test_the_hash_of_weights_sees_names_sizes_headers_and_samples(tmp_path: Path) -> None:
    def hashed(name: str, values: torch.Tensor, file: str = "model.safetensors") -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        safetensors.torch.save_file({name: values}, folder / file)
        return weights_hash(folder)

    values = torch.arange(300_000, dtype=torch.float32)
    changed = [values + 1, values[:-1], values.to(torch.float16), torch.cat([values[:-1], values[:1]])]
    found = [hashed("a", values), *(hashed("a", each) for each in changed)]
    found += [hashed("b", values), hashed("a", values, "model-1.safetensors")]
    assert len(set(found)) == len(found)
    assert hashed("a", values) == found[0]


@pytest.mark.parametrize("answers", ["both", "reasoned", "explained"])
def test_reasoned_students(tiny: Path, tmp_path: Path, answers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 8)
    config = Config(answers=answers, epochs=1, batch_size=8, validations=1, rank=4, max_length=320)  # type: ignore[arg-type]
    write_job(tmp_path, tiny, config=config)
    assert do(tmp_path) == 0
    card = Card.read(tmp_path / "adapter")
    assert card.forms == ("direct", "explained" if answers == "explained" else "reasoned")
    assert card.form == ("direct" if answers == "both" else answers)
    assert card.prompt_hash == result_of(tmp_path)["hashes"]["prompt"]
    assert len(pd.read_parquet(tmp_path / "predictions" / "test.parquet")) == 7


@pytest.fixture(scope="module")
def both(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training job whose student was taught direct and reasoned answers."""
    folder = tmp_path_factory.mktemp("jobs") / "both"
    config = Config(answers="both", epochs=1, batch_size=8, validations=1, rank=4, max_length=320)
    write_job(folder, tiny, config=config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.reasons.REASON_TOKENS", 8)
        assert do(folder) == 0
    return folder


def scores(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "predictions" / "test.parquet")


def test_a_student_taught_both_is_scored_with_the_inference_that_is_asked_for(
    both: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 8)
    for inference in (None, "direct", "reasoned"):
        score_job(tmp_path / str(inference), tiny, both / "adapter", inference=inference)
        assert do(tmp_path / str(inference)) == 0
        assert not (tmp_path / str(inference) / "reasons").exists()
    pd.testing.assert_frame_equal(scores(tmp_path / "None"), scores(both), atol=1e-6)
    pd.testing.assert_frame_equal(scores(tmp_path / "direct"), scores(both), atol=1e-6)
    reasoned = scores(tmp_path / "reasoned")
    assert (reasoned["any_violation"] - scores(both)["any_violation"]).abs().max() > 1e-3
    # The thresholds go with the scores, so they are chosen anew.
    thresholds = [
        json.loads((tmp_path / name / "metrics.json").read_text())["model"]["thresholds"]
        for name in ("direct", "reasoned")
    ]
    assert thresholds[0] != thresholds[1]


@pytest.mark.parametrize("inference", ["direct", "reasoned"])
def test_reasons_are_kept_where_that_is_asked_for(
    both: Path, tiny: Path, tmp_path: Path, inference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 8)
    score_job(tmp_path / "plain", tiny, both / "adapter", inference=inference)
    score_job(tmp_path / "kept", tiny, both / "adapter", inference=inference, reasons=True, score_base=True)
    for name in ("plain", "kept"):
        assert do(tmp_path / name) == 0
    pd.testing.assert_frame_equal(scores(tmp_path / "kept"), scores(tmp_path / "plain"), atol=1e-6)
    unreadable = json.loads((tmp_path / "kept" / "metrics.json").read_text())["model"]["unreadable"]
    for name, count in (("validation", 9), ("test", 7)):
        kept = pq.read_table(tmp_path / "kept" / "reasons" / f"{name}.parquet")
        assert kept.column_names == ["id", "analysis", "harmful", "labels"]
        assert kept.schema.field("labels").type == kept.schema.field("harmful").type == pa.list_(pa.string())
        assert kept["id"].to_pylist() == [f"r{index}" for index in range(count)]
        # In eight tokens and a classification's there is no room for an answer's three lines.
        assert kept["labels"].null_count == unreadable[name] == count
        assert all(kept["analysis"].to_pylist())
    events = read(tmp_path / "kept" / "progress.jsonl")[0]
    assert any(event.get("message") == "reasons of 7 of 7 posts written" for event in events)


def test_a_training_job_keeps_what_its_student_wrote(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 8)
    config = Config(answers="reasoned", epochs=1, batch_size=8, validations=1, rank=4, max_length=320)
    write_job(tmp_path, tiny, config=config, reasons=True)
    assert do(tmp_path) == 0
    assert {path.name for path in (tmp_path / "reasons").iterdir()} == {"validation.parquet", "test.parquet"}


def test_a_form_that_a_student_was_not_taught_is_refused(done: Path, tiny: Path, tmp_path: Path) -> None:
    for number, fields in enumerate(({"inference": "reasoned"}, {"reasons": True})):
        score_job(tmp_path / str(number), tiny, done / "adapter", **fields)
        assert do(tmp_path / str(number)) == 1
        assert (
            "was not taught reasoned answers, but direct ones" in result_of(tmp_path / str(number))["reason"]
        )
    config = Config(answers="reasoned", epochs=1, batch_size=8, validations=1, rank=4, max_length=320)
    write_job(tmp_path / "without", tiny, config=config, reasons=True)
    write_rows(tmp_path / "without" / "train.parquet", make_rows(6, analysis=False))
    assert do(tmp_path / "without") == 1
    assert "was not taught reasoned answers" in result_of(tmp_path / "without")["reason"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"inference": "reasoned"}, "inference is chosen for a scoring job"),
        ({"reasons": True}, "direct answers have no reasons to keep"),
    ],
)
def test_a_training_job_asks_for_what_it_teaches(tiny: Path, fields: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Job(kind="train", base_model=str(tiny), policy=POLICY, **fields)


def test_a_policy_is_computed_once_for_all_sets_of_a_model(
    done: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    prefill = Student.prefill

    def noting(student: Student, ids: tuple[int, ...]) -> Prefix:
        computed.append(len(ids))
        return prefill(student, ids)

    monkeypatch.setattr(Student, "prefill", noting)
    score_job(tmp_path, tiny, done / "adapter", score_base=True)
    assert do(tmp_path) == 0
    # The first is the few tokens by which the model's family is looked at.
    _, *policies = computed
    assert len(policies) == 2
    assert min(policies) > computed[0]


def test_refused_rows_are_told_and_the_rest_is_learned(tiny: Path, tmp_path: Path) -> None:
    write_job(tmp_path, tiny, config=Config(epochs=1, max_length=256, rank=4, validations=1))
    write_rows(tmp_path / "train.parquet", [*make_rows(6), Row("bad one", "hi", ("nonsense",))])
    assert do(tmp_path) == 0
    assert result_of(tmp_path)["rows"]["train"]["refused"] == [
        {"id": "bad one", "reason": "the policy has no category 'nonsense'"}
    ]
    assert "row 'bad one' is left out" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda job: (job / "job.json").unlink(), "no job.json"),
        (lambda job: (job / "job.json").write_text('{"kind": "sing"}'), "not a valid job"),
        (lambda job: (job / "train.parquet").write_bytes(b"PAR1"), "not a readable parquet"),
        (lambda job: (job / "sets" / "test.parquet").unlink(), "test.parquet is missing"),
        (lambda job: write_rows(job / "train.parquet", [Row("x", "hi")]), "nothing to learn"),
        (lambda job: write_rows(job / "train.parquet", []), "has no rows"),
    ],
)
def test_what_cannot_be_done_says_why(tiny: Path, tmp_path: Path, spoil: Any, reason: str) -> None:
    write_job(tmp_path, tiny)
    spoil(tmp_path)
    assert do(tmp_path) == 1
    result = result_of(tmp_path)
    assert result["status"] == "failed"
    assert reason in result["reason"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"config": Config(max_length=32768)}, "more than the base model's"),
        (
            {"config": Config(targets=("nonsense",), max_length=256)},
            "choose among down_proj, gate_proj, k_proj",
        ),
        ({"config": Config(targets=("q_proj", "_proj"), max_length=256)}, "target '_proj' names no linear"),
        ({"config": Config(targets=r".*(q|v)_nonsense", max_length=256)}, "names no linear layer"),
        ({"config": Config(targets="[", max_length=256)}, "no pattern"),
        (
            {"config": Config(rank=48, max_length=256)},
            "a LoRA rank of 48 is more than the layer model.layers.0.self_attn.k_proj of 64 × 32 can use; "
            "lower it to 32",
        ),
        ({"config": Config(max_length=48)}, "leave no room"),
        ({"base_model": "./nowhere"}, "neither a folder"),
    ],
)
def test_settings_that_cannot_work_say_why(tiny: Path, tmp_path: Path, fields: Any, reason: str) -> None:
    write_job(tmp_path, tiny, **fields)
    assert do(tmp_path) == 1
    assert reason in result_of(tmp_path)["reason"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rank", 0, "config.rank cannot be 0: Input should be greater than or equal to 1"),
        ("learning_rate", 0, "config.learning_rate cannot be 0: Input should be greater than 0"),
        (
            "learning_rate",
            float("nan"),
            "config.learning_rate cannot be nan: Input should be a finite number",
        ),
        ("learning_rate", "fast", "config.learning_rate cannot be 'fast'"),
        ("warmup", 1.0, "config.warmup cannot be 1.0"),
    ],
)
def test_settings_that_cannot_be_say_what_to_change(
    tiny: Path, tmp_path: Path, name: str, value: Any, said: str
) -> None:
    write_job(tmp_path, tiny)
    document = json.loads((tmp_path / "job.json").read_text())
    document["config"][name] = value
    (tmp_path / "job.json").write_text(json.dumps(document))
    assert do(tmp_path) == 1
    result = result_of(tmp_path)
    assert said in result["reason"]
    assert result["hint"].startswith(f"Change config.{name} (")
    assert result["fails_again"]


CHOSEN = Config(epochs=3, batch_size=4, validations=3, max_length=256, rank=4, choose="macro_f1", patience=1)


def test_macro_f1_over_the_validation_posts_chooses(tiny: Path, tmp_path: Path) -> None:
    write_job(tmp_path, tiny, config=CHOSEN)
    assert do(tmp_path) == 0
    training = result_of(tmp_path)["training"]
    events = [event for event in read(tmp_path / "progress.jsonl")[0] if event["phase"] == "validating"]
    marks = [event["macro_f1"] for event in events]
    assert training["validation_macro_f1"] == pytest.approx(max(marks), rel=1e-5)
    assert training["best_step"] == next(e["step"] for e in reversed(events) if e["best"])
    # The weights that are kept are those that were judged best: scored again they say the same.
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["model"]["validation"]["macro_f1"] == pytest.approx(training["validation_macro_f1"])
    assert training["stopped_early"] == (training["step"] < training["steps"])


def test_macro_f1_needs_posts_to_take_it_on(tiny: Path, tmp_path: Path) -> None:
    write_job(tmp_path, tiny, config=CHOSEN)
    write_rows(tmp_path / "validation.parquet", [row for row in make_rows(12) if not row.labels])
    assert do(tmp_path) == 1
    assert "macro-F1 cannot choose" in result_of(tmp_path)["reason"]


def test_a_folder_that_is_not_there_is_said_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nowhere")]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_a_signal_stops_with_a_checkpoint_and_a_second_process_goes_on(
    done: Path, tiny: Path, tmp_path: Path
) -> None:
    write_job(tmp_path / "whole", tiny, config=LONG)
    write_job(tmp_path / "job", tiny, config=LONG)
    # In a process of its own like the others: what ran in this one before may have set how torch rounds.
    assert start(tmp_path / "whole").wait(200) == 0
    process = start(tmp_path / "job")
    assert do_when_training(tmp_path / "job", lambda: process.send_signal(signal.SIGTERM))
    assert process.wait(200) == 3
    result = result_of(tmp_path / "job")
    assert result["status"] == "stopped"
    assert 0 < result["training"]["step"] < result["training"]["steps"]
    assert list((tmp_path / "job" / "checkpoints").glob("step-*"))
    process = start(tmp_path / "job")
    assert process.wait(200) == 0
    result = result_of(tmp_path / "job")
    assert result["status"] == "done"
    assert result["training"]["resumed_from"] > 0
    weights = [
        safetensors.torch.load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("job", "whole")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def do_when_training(folder: Path, act: Any, seconds: float = 200.0) -> bool:
    """Act as soon as the job says that it trains; a tiny run is over in seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if any(event["phase"] == "training" for event in read(folder / "progress.jsonl")[0]):
            act()
            return True
        time.sleep(0.05)
    return False


def test_a_second_process_on_the_same_job_keeps_out(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from filelock import FileLock

    write_job(tmp_path, tiny)
    with FileLock(tmp_path / ".lock"):
        assert do(tmp_path) == 1
    assert "another process is at work" in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()


def test_a_stop_while_scoring_keeps_what_was_learned(tiny: Path, tmp_path: Path) -> None:
    class StopInScoring(Stop):
        @property
        def requested(self) -> bool:  # type: ignore[override]
            return (tmp_path / "predictions" / "validation.parquet").exists()

        @requested.setter
        def requested(self, value: bool) -> None: ...

    write_job(tmp_path, tiny)
    assert run(str(tmp_path), StopInScoring()) == 3
    first = (tmp_path / "predictions" / "validation.parquet").read_bytes()
    assert do(tmp_path) == 0
    result = result_of(tmp_path)
    assert result["training"]["resumed_from"] == result["training"]["steps"]
    assert (tmp_path / "predictions" / "validation.parquet").read_bytes() == first


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_fails_plainly_and_the_last_checkpoint_stays(tiny: Path, small_disk: Path) -> None:
    job = small_disk / "job"
    write_job(job, tiny, config=LONG)
    process = start(job)

    def fill() -> None:
        while not list(job.glob("checkpoints/step-*/state.json")):
            time.sleep(0.01)
        with (
            pytest.raises(OSError, match="No space"),
            (small_disk / "ballast").open("wb", buffering=0) as ballast,
        ):
            while True:
                ballast.write(b"\0" * 4096)

    assert do_when_training(job, fill)
    assert process.wait(200) == 1
    result = result_of(job)
    assert result["status"] == "failed"
    assert "is full" in result["reason"]
    assert "resume" in result["hint"]
    assert not result["fails_again"]
    assert [path.name[:5] for path in (job / "checkpoints").iterdir()] == ["step-"]
    (small_disk / "ballast").unlink()
    assert do(job) == 0
    assert result_of(job)["training"]["resumed_from"] > 0


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_remote_folder(tiny: Path, tmp_path: Path, scheme: str) -> None:
    write_job(tmp_path / "local", tiny, config=Config(epochs=1, max_length=256, rank=4, validations=1))
    address = f"memory://jobs/{tmp_path.name}" if scheme == "memory" else (tmp_path / "remote").as_uri()
    there, root = fsspec.url_to_fs(address)
    there.makedirs(root, exist_ok=True)
    there.put(f"{tmp_path / 'local'}/", f"{root}/", recursive=True)
    assert do(address) == 0
    names = {name[len(root) :].lstrip("/") for name in there.find(root)}
    assert {"result.json", "adapter/overrule.json", "predictions/test.parquet", "progress.jsonl"} <= names
    assert not any(name.startswith((".", "checkpoints")) for name in names)
    with there.open(f"{root}/result.json") as file:
        assert json.load(file)["status"] == "done"


def test_a_job_folder_of_a_model_asks_nothing_of_the_network(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a network address was asked for")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    write_job(tmp_path, tiny, config=Config(epochs=1, max_length=256, rank=4, validations=1))
    assert do(tmp_path) == 0
