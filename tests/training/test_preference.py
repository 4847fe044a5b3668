"""The preference step: exact, resumable, from the best weights, and honest about what it changed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch
import torch

from tests.training.conftest import make_pairs, make_rows, write_job, write_pairs
from tests.training.test_exactness import gradients, moved
from tests.training.test_loop import StopAt, same
from training.adapter import Card
from training.checkpoints import Checkpoints
from training.data import DataError
from training.job import Config, Preference
from training.loop import Loop, TrainingError
from training.objective import Teaching, mean_loss
from training.pairs import EncodedPairs, PairRow, encode_pairs, require_pairs
from training.preference import Preferring
from training.preference_step import PreferenceStep, Preferred
from training.progress import Phase, Reporter, read
from training.prompt import Example, Renderer
from training.run import run
from training.stop import Stop, StopRequestedError
from training.student import Student, StudentError, load_student, new_student

CONFIG = Config(
    precision="float32",
    rank=4,
    alpha=8,
    max_length=256,
    batch_size=4,
    epochs=2,
    validations=2,
    answers="both",
)
STEP = CONFIG.model_copy(update={"preference": Preference(epochs=3, batch_size=4, learning_rate=5e-3)})
CPU = torch.device("cpu")


def nothing(tokens: int) -> None:
    """After a row there is nothing to do."""


@pytest.fixture
def student(tiny: Path) -> Student:
    return moved(new_student(tiny, CONFIG, CPU, "tiny"))


@pytest.fixture
def pairs(renderer: Renderer) -> EncodedPairs:
    """Direct and reasoned pairs, so that there are two prefixes."""
    encoded = encode_pairs(make_pairs(8), renderer, "both", 256)
    assert not encoded.refused
    assert len({pair.chosen.prefix for pair in encoded.pairs}) == 2
    return encoded


def preferring(student: Student, pairs: EncodedPairs) -> Preferring:
    found = Preferring(student, pairs.pairs, pairs.ids, 0.1)
    found.refer(nothing)
    return found


def loop_of(student: Student, pairs: EncodedPairs, folder: Path) -> Loop:
    return Loop(
        student,
        preferring(student, pairs),
        None,
        STEP.of_preference_step,
        checkpoints=Checkpoints(folder, "x"),
        reporter=Reporter(folder / "progress.jsonl"),
        stop=Stop(),
    )


def plain_log_probability(model: Any, example: Example) -> torch.Tensor:
    """From Hugging Face's own loss of one example alone, which is a mean."""
    ids = torch.tensor([example.ids])
    labels = ids.clone()
    labels[0, : len(example) - len(example.answer)] = -100
    said: torch.Tensor = -model(input_ids=ids, labels=labels, use_cache=False).loss * len(example.answer)
    return said


def plain_rewards(student: Student, pairs: EncodedPairs, beta: float) -> torch.Tensor:
    """Equation 7's two rewards for each pair, (P, 2), one example at a time, peft's adapter off for π₀."""
    rows = []
    for pair in pairs.pairs:
        row = []
        for side in (pair.chosen, pair.rejected):
            with torch.no_grad(), student.model.disable_adapter():
                reference = plain_log_probability(student.model, side)
            row.append(beta * (plain_log_probability(student.model, side) - reference))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def test_packed_loss_and_gradients_equal_one_example_at_a_time(
    student: Student, pairs: EncodedPairs, tmp_path: Path
) -> None:
    rewards = plain_rewards(student, pairs, 0.1)
    loss = -torch.nn.functional.logsigmoid(rewards[:, 0] - rewards[:, 1]).mean()
    torch.autograd.backward(loss)
    plain = gradients(student)
    loop = loop_of(student, pairs, tmp_path)
    packed_loss = loop.gradients(range(len(pairs.pairs)))
    packed = gradients(student)
    assert loss.item() != pytest.approx(math.log(2), rel=1e-3)
    assert packed_loss == pytest.approx(loss.item(), rel=1e-5)
    for name, gradient in plain.items():
        torch.testing.assert_close(packed[name], gradient, rtol=1e-4, atol=1e-6)
    accuracy = (rewards[:, 0] > rewards[:, 1]).float().mean().item()
    assert 0 < accuracy < 1
    assert preferring(student, pairs).accuracy(nothing) == pytest.approx(accuracy)


@pytest.mark.parametrize("budget", [1, 300, 100_000])
def test_any_split_into_rows_gives_the_same(
    student: Student, pairs: EncodedPairs, tmp_path: Path, budget: int
) -> None:
    everything = range(len(pairs.pairs))
    whole = loop_of(student, pairs, tmp_path).gradients(everything)
    expected = gradients(student)
    student.row_tokens = budget
    split = loop_of(student, pairs, tmp_path)
    rows = list(split.objective.losses(everything))
    assert len(rows) == {1: len(pairs.pairs), 300: len(rows), 100_000: 2}[budget]
    assert sum(tokens for _, tokens in rows) == split.objective.tokens(everything)
    del rows
    assert split.gradients(everything[::-1]) == pytest.approx(whole, rel=1e-5)
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_the_reference_is_the_base_model(tiny: Path, student: Student, pairs: EncodedPairs) -> None:
    found = preferring(student, pairs)
    assert mean_loss(found, nothing) != pytest.approx(math.log(2), rel=1e-3)
    with torch.no_grad():
        for name, weight in student.trained_parameters().items():
            if "lora_B" in name:
                weight.zero_()
    # The student is the base model now: nothing is preferred over what that says.
    assert mean_loss(found, nothing) == pytest.approx(math.log(2), abs=1e-6)
    with pytest.raises(StudentError, match="without its adapter"):
        Preferring(load_student(tiny, None, CPU, 256), pairs.pairs, pairs.ids, 0.1)


def test_no_pair_sees_another(student: Student, pairs: EncodedPairs, renderer: Renderer) -> None:
    direct = encode_pairs(make_pairs(4), renderer, "direct", 256)
    other = encode_pairs(make_pairs(12)[11:], renderer, "direct", 256)
    changed = replace(direct, pairs=[direct.pairs[0], other.pairs[0], *direct.pairs[2:]])

    def each(encoded: EncodedPairs) -> list[float]:
        found = preferring(student, encoded)
        return [mean_of([index], found) for index in range(4)] + [mean_of(range(4), found)]

    def mean_of(batch: Any, found: Preferring) -> float:
        return sum(loss.item() for loss, _ in found.losses(batch)) / len(batch)

    *before, before_packed = each(direct)
    *after, after_packed = each(changed)
    assert before[1] != pytest.approx(after[1], rel=1e-4)
    assert before_packed == pytest.approx(sum(before) / 4, rel=1e-5)
    assert after_packed - before_packed == pytest.approx((after[1] - before[1]) / 4, abs=1e-6)


def test_pairs_are_rendered_in_the_forms_that_both_sides_have(renderer: Renderer) -> None:
    full, *_ = make_pairs(1)
    assert full.chosen.analysis
    assert full.rejected.analysis
    without = PairRow(full.chosen, replace(full.rejected, analysis=None))
    by_reason = PairRow(full.chosen, replace(full.chosen, analysis="Because it says so."))
    nonsense = PairRow(full.chosen, replace(full.rejected, labels=("nonsense",)))

    def count(row: PairRow, answers: Any) -> tuple[int, int, int]:
        encoded = encode_pairs([row], renderer, answers, 256)
        return len(encoded.pairs), encoded.same, len(encoded.refused)

    assert [count(full, answers) for answers in ("direct", "reasoned", "both")] == [
        (1, 0, 0),
        (1, 0, 0),
        (2, 0, 0),
    ]
    assert count(without, "reasoned") == (1, 0, 0)
    assert count(without, "both") == (1, 0, 0)
    # Only the reasons differ: in the direct form both sides read the same.
    assert count(by_reason, "direct") == (0, 1, 0)
    assert count(by_reason, "both") == (1, 1, 0)
    assert count(nonsense, "direct") == (0, 0, 1)
    with pytest.raises(DataError, match="1 read the same on both sides"):
        require_pairs(encode_pairs([by_reason], renderer, "direct", 256), "pairs.parquet")
    with pytest.raises(DataError, match="no category 'nonsense'"):
        require_pairs(encode_pairs([nonsense], renderer, "direct", 256), "pairs.parquet")


def test_both_answers_follow_the_same_post_however_it_is_cut(renderer: Renderer) -> None:
    row, *_ = make_pairs(1)
    long = "today " * 300
    pair_row = PairRow(
        replace(row.chosen, text=long, analysis="A long reason. " * 5), replace(row.rejected, text=long)
    )
    (pair,) = encode_pairs([pair_row], renderer, "reasoned", 256).pairs
    assert pair.chosen.shortened
    assert pair.rejected.shortened
    assert pair.chosen.post == pair.rejected.post
    assert max(len(pair.chosen), len(pair.rejected)) == 256


@pytest.fixture
def step_of(tiny: Path, renderer: Renderer, pairs: EncodedPairs) -> Callable[..., tuple[Student, Preferred]]:
    """A preference step over a fine-tuned student; the same each time."""
    validation = encode_pairs(make_pairs(14)[8:], renderer, "both", 256)

    def do(folder: Path, stop: Stop | None = None, **options: Any) -> tuple[Student, Preferred]:
        config = options.pop("config", STEP)
        student = moved(new_student(tiny, config, CPU, "tiny"))
        # Several rows to each pass, between which it can be stopped.
        student.row_tokens = 768
        step = PreferenceStep(
            student,
            pairs,
            validation if options.get("validated", True) else EncodedPairs(),
            Teaching(student, options.get("taught", pairs.examples[::2]), range(len(pairs.pairs))),
            config,
            checkpoints=Checkpoints(folder / "checkpoints", "one"),
            reporter=options.pop("reporter", None) or Reporter(folder / "progress.jsonl"),
            stop=stop or Stop(),
        )
        return student, step.run(0.5)

    return do


@pytest.mark.parametrize(("validated", "layers"), [(True, 1.0), (False, 1.0), (True, 0.5)])
def test_resuming_equals_never_having_stopped_bit_for_bit(
    step_of: Callable[..., tuple[Student, Preferred]], tmp_path: Path, validated: bool, layers: float
) -> None:
    # With frozen lower layers, what these give is kept, and is to be the same after a resume.
    options: dict[str, Any] = {
        "validated": validated,
        "config": STEP.model_copy(update={"layers": layers}),
    }
    student, whole = step_of(tmp_path / "whole", **options)
    stops = 0
    # Before the first step there are the looks of asking the base model; each start asks anew.
    looks = 12 if validated else 7
    while True:
        try:
            again, part = step_of(tmp_path / "parts", StopAt(looks + stops), **options)
            break
        except StopRequestedError:
            stops += 1
    assert stops > 2
    assert part.trained.resumed_from
    assert part.figures == whole.figures
    assert (part.trained.best_step, part.trained.best_loss) == (
        whole.trained.best_step,
        whole.trained.best_loss,
    )
    assert same(again.adapter_weights(), student.adapter_weights())
    final = [Checkpoints(tmp_path / name / "checkpoints", "one").latest() for name in ("whole", "parts")]
    assert final[0] is not None
    assert final[1] is not None
    assert same(final[0].weights, final[1].weights)
    assert same(final[0].optimizer, final[1].optimizer)


def test_preferences_are_learned_and_the_weights_kept_by_the_same_rule(
    step_of: Callable[..., tuple[Student, Preferred]], tmp_path: Path
) -> None:
    config = STEP.model_copy(
        update={"preference": Preference(epochs=10, batch_size=4, learning_rate=2e-2, beta=0.5)}
    )
    student, last = step_of(tmp_path / "last", validated=False, config=config)
    assert last.measured_on == "pairs"
    assert last.accuracy.before is not None
    assert last.accuracy.after == 1.0 > last.accuracy.before
    assert last.trained.best_step == last.trained.steps
    assert last.trained.last_loss is not None
    assert last.trained.last_loss < math.log(2) / 2
    assert last.validation_loss.before == 0.5
    assert last.validation_loss.after not in (None, 0.5)
    latest = Checkpoints(tmp_path / "last" / "checkpoints", "one").latest()
    assert latest is not None
    assert same(student.adapter_weights(), latest.weights)

    student, best = step_of(tmp_path / "best", config=config)
    events, _ = read(tmp_path / "best" / "progress.jsonl")
    losses = [event["validation_preference_loss"] for event in events if "best" in event]
    assert len(losses) == config.validations
    assert best.trained.best_loss == pytest.approx(min(losses), rel=1e-4)
    assert best.measured_on == "validation_pairs"
    assert {event["phase"] for event in events} == {"preferring"}
    assert not any("loss" in event or "validation_loss" in event for event in events)


def test_a_loss_that_is_no_number_stops_with_step_and_rows(
    student: Student, pairs: EncodedPairs, tmp_path: Path
) -> None:
    loop = loop_of(student, pairs, tmp_path)
    with torch.no_grad():
        next(iter(student.trained_parameters().values())).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the preference loss became nan .* at step 1 of .* rows pr\d"):
        loop.run()


def test_a_validation_loss_that_the_step_makes_no_number_is_refused(
    step_of: Callable[..., tuple[Student, Preferred]], pairs: EncodedPairs, tmp_path: Path
) -> None:
    first, *others = pairs.examples[::2]
    with pytest.raises(TrainingError, match="the validation loss became nan by the preference step"):
        step_of(tmp_path, taught=[replace(first, weight=float("nan")), *others])


def test_the_time_left_knows_of_the_whole_step(
    step_of: Callable[..., tuple[Student, Preferred]], tmp_path: Path
) -> None:
    class Counting(Reporter):
        planned = done = 0.0

        def plan(self, units: float, of: Phase = "training") -> None:
            self.planned += units

        def work(self, units: float, of: Phase = "training", **counts: float) -> None:
            self.done += units

    reporter = Counting(tmp_path / "progress.jsonl")
    step_of(tmp_path, reporter=reporter)
    assert reporter.done == pytest.approx(reporter.planned)


# Whole jobs


def preference_job(folder: Path, base: Path, **fields: Any) -> None:
    config = fields.pop("config", None) or Config(
        precision="float32",
        epochs=2,
        batch_size=4,
        validations=2,
        max_length=256,
        rank=4,
        alpha=8,
        preference=Preference(batch_size=4, learning_rate=5e-3, epochs=2),
    )
    write_job(folder, base, config=config, **fields)
    write_pairs(folder / "pairs.parquet", make_pairs(10))


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def metrics_of(folder: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "adapter" / "adapter_model.safetensors")


def said_of(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "predictions" / f"{name}.parquet")


@pytest.fixture(scope="module")
def done(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job with a preference step."""
    folder = tmp_path_factory.mktemp("jobs") / "done"
    preference_job(folder, tiny, score_base=True)
    write_pairs(folder / "validation_pairs.parquet", make_pairs(16)[10:])
    assert run(str(folder), Stop()) == 0
    return folder


def test_the_model_card_names_the_step(done: Path) -> None:
    card = (done / "adapter" / "README.md").read_text("utf-8")
    assert "A preference step followed: DPO on people" in card and "of the weights after it." in card


def test_a_job_tells_what_the_step_learned_and_changed(done: Path) -> None:
    result, metrics = result_of(done), metrics_of(done)
    assert "preferring, step 6 of 6: validation preference loss " in (done / "log.txt").read_text()
    assert {"pairs.parquet", "validation_pairs.parquet"} <= set(result["hashes"]["data"])
    assert result["rows"]["pairs"]["used"] == 10
    assert (result["rows"]["pairs"]["examples"], result["rows"]["pairs"]["same"]) == (20, 0)
    assert result["preference"]["step"] == result["preference"]["steps"] == 6
    assert set(metrics) == {"model", "base", "before_preference", "preference"}
    figures = metrics["preference"]
    assert figures.items() <= result["preference"].items()
    assert (figures["measured_on"], figures["measured"]) == ("validation_pairs", 6)
    assert figures["validation_loss"]["before"] == result["training"]["validation_loss"]
    assert figures["validation_loss"]["after"] == Card.read(done / "adapter").validation_loss
    assert Card.read(done / "adapter").thresholds == metrics["model"]["thresholds"]
    phases = [event["phase"] for event in read(done / "progress.jsonl")[0]]
    order = ["loading", "training", "validating", "preferring", "scoring", "done"]
    assert list(dict.fromkeys(phases)) == order
    assert "preferring" in result["timings"]
    assert not (done / "checkpoints").exists()


def test_before_the_step_the_student_is_what_it_were_without_it(
    done: Path, tiny: Path, tmp_path: Path
) -> None:
    config = Config(
        precision="float32", epochs=2, batch_size=4, validations=2, max_length=256, rank=4, alpha=8
    )
    write_job(tmp_path, tiny, config=config)
    (tmp_path / "pairs.parquet").write_bytes(b"not read where there is no such step")
    assert run(str(tmp_path), Stop()) == 0
    assert metrics_of(tmp_path)["model"] == metrics_of(done)["before_preference"]
    for name in ("validation", "test"):
        pd.testing.assert_frame_equal(said_of(tmp_path, name), said_of(done, f"before-preference/{name}"))
        assert not said_of(done, name).equals(said_of(done, f"before-preference/{name}"))
    assert not same(weights_of(tmp_path), weights_of(done))


def test_a_job_stopped_anywhere_ends_as_if_it_never_was(done: Path, tiny: Path, tmp_path: Path) -> None:
    preference_job(tmp_path, tiny, score_base=True)
    write_pairs(tmp_path / "validation_pairs.parquet", make_pairs(16)[10:])
    in_step = 0
    for stops in range(60):
        code = run(str(tmp_path), StopAt(9 + stops % 5))
        if code == 0:
            break
        assert code == 3
        in_step += any((tmp_path / "checkpoints" / "preference").glob("step-*"))
    assert code == 0
    assert in_step > 1
    assert result_of(tmp_path)["preference"]["resumed_from"]
    assert same(weights_of(tmp_path), weights_of(done))
    assert metrics_of(tmp_path) == metrics_of(done)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda job: (job / "pairs.parquet").unlink(), "pairs.parquet is missing"),
        (lambda job: write_pairs(job / "pairs.parquet", []), "it has no rows"),
        (
            lambda job: shutil.copy(job / "train.parquet", job / "pairs.parquet"),
            "no column 'rejected_labels'",
        ),
        (
            lambda job: write_pairs(
                job / "pairs.parquet", [PairRow(row, replace(row, analysis="x")) for row in make_rows(3)]
            ),
            "switch the preference step off",
        ),
    ],
)
def test_a_step_with_nothing_to_learn_is_refused_at_the_start(
    tiny: Path, tmp_path: Path, spoil: Any, reason: str
) -> None:
    preference_job(tmp_path, tiny)
    spoil(tmp_path)
    assert run(str(tmp_path), Stop()) == 1
    assert reason in result_of(tmp_path)["reason"]
    assert "training" not in {event["phase"] for event in read(tmp_path / "progress.jsonl")[0]}
