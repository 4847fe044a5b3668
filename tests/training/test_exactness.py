"""What is computed equals what plain Hugging Face computes, one example at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import examples_of, make_rows, moved, with_frozen
from training.checkpoints import Checkpoints
from training.job import Config
from training.layout import pack, tokens_computed
from training.loop import Loop
from training.objective import Teaching
from training.progress import Reporter
from training.prompt import Example, Renderer
from training.rows import FILLED_TO
from training.stop import Stop
from training.student import Student, new_student

CONFIG = Config(precision="float32", rank=4, alpha=8, max_length=256, batch_size=4)


@pytest.fixture
def student(tiny: Path) -> Student:
    return moved(new_student(tiny, CONFIG, torch.device("cpu"), "tiny"))


@pytest.fixture
def examples(renderer: Renderer) -> list[Example]:
    return examples_of(renderer, make_rows(10))


def loop_of(student: Student, examples: Sequence[Example], folder: Path) -> Loop:
    return Loop(
        student,
        Teaching(student, examples, [str(index) for index in range(len(examples))]),
        None,
        CONFIG,
        checkpoints=Checkpoints(folder, "x"),
        reporter=Reporter(folder / "progress.jsonl"),
        stop=Stop(),
    )


def plain_loss(student: Student, examples: Sequence[Example]) -> torch.Tensor:
    """Hugging Face's own loss of each example alone, made a sum again by its weight, divided once."""
    total: Any = 0.0
    learned = 0.0
    for example in examples:
        ids = torch.tensor([example.ids])
        labels = ids.clone()
        labels[0, : len(example) - len(example.answer)] = -100
        counts = example.weight * len(example.answer)
        total = total + student.model(input_ids=ids, labels=labels, use_cache=False).loss * counts
        learned += counts
    loss: torch.Tensor = total / learned
    return loss


def gradients(student: Student) -> dict[str, torch.Tensor]:
    found = {}
    for name, weight in student.trained_parameters().items():
        assert weight.grad is not None
        found[name] = weight.grad.clone()
        weight.grad = None
    return found


def test_the_heads_chunks_change_nothing(
    student: Student, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = range(len(examples))
    whole = loop_of(student, examples, tmp_path).gradients(everything)
    found = gradients(student)
    monkeypatch.setattr("training.student.HEAD_ROWS", 5)
    assert loop_of(student, examples, tmp_path).gradients(everything) == pytest.approx(whole, rel=1e-6)
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, found[name], rtol=1e-5, atol=1e-6)


def test_bf16_learns_what_fp32_learns(tiny: Path, renderer: Renderer) -> None:
    examples = examples_of(renderer, make_rows(8))
    row = next(pack(examples, 4096))
    losses, found = [], []
    for dtype in (torch.float32, torch.bfloat16):
        student = with_frozen(moved(new_student(tiny, CONFIG, torch.device("cpu"), "tiny")), dtype)
        loss = student.loss_sum(row)
        torch.autograd.backward(loss)
        losses.append(loss.item())
        found.append(torch.cat([weight.grad.flatten() for weight in student.trained_parameters().values()]))
        assert {weight.dtype for weight in student.trained_parameters().values()} == {torch.float32}
    assert losses[1] == pytest.approx(losses[0], rel=3e-2)
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.99


@pytest.mark.parametrize("multiple", [1, 128])
def test_packed_loss_and_gradients_equal_plain_hugging_face(
    student: Student, examples: list[Example], tmp_path: Path, multiple: int
) -> None:
    student.row_multiple = multiple
    loss = plain_loss(student, examples)
    torch.autograd.backward(loss)
    plain = gradients(student)
    packed_loss = loop_of(student, examples, tmp_path).gradients(range(len(examples)))
    packed = gradients(student)
    assert packed_loss == pytest.approx(loss.item(), rel=1e-5)
    assert any(len(row.ids) > 250 for row in pack(examples, student.row_tokens))
    for name, gradient in plain.items():
        torch.testing.assert_close(packed[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_row_is_filled_up_behind_its_examples(tiny: Path, examples: list[Example]) -> None:
    row = next(pack(examples[:3], 4096))
    filled = row.filled(128)
    assert len(row.ids) % 128 and len(filled.ids) % 128 == 0
    assert filled.segments.lengths[:-1] == row.segments.lengths
    assert not filled.segments.mask[: len(row.ids), len(row.ids) :].any()
    assert torch.equal(filled.learned_from, row.learned_from)
    assert filled.filled(128) is filled
    # Only where products are compiled for each length.
    plain = new_student(tiny, CONFIG, torch.device("cpu"), "tiny")
    assert plain.row_multiple == 1
    assert Student(plain.model.to(torch.bfloat16), plain.device).row_multiple == FILLED_TO


def test_weighted_examples_equal_plain_hugging_face_by_their_weights(
    student: Student, examples: list[Example], tmp_path: Path
) -> None:
    unweighted = plain_loss(student, examples).item()
    weighted = [replace(each, weight=0.25 + index % 3) for index, each in enumerate(examples)]
    loss = plain_loss(student, weighted)
    torch.autograd.backward(loss)
    plain = gradients(student)
    student.row_tokens = 300
    packed_loss = loop_of(student, weighted, tmp_path).gradients(range(len(weighted)))
    assert packed_loss == pytest.approx(loss.item(), rel=1e-5)
    assert abs(packed_loss - unweighted) > 1e-3
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, plain[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("budget", [1, 200, 300, 100_000])
def test_any_split_into_rows_gives_the_same(
    student: Student, examples: list[Example], tmp_path: Path, budget: int
) -> None:
    loop = loop_of(student, examples, tmp_path)
    whole = loop.gradients(range(len(examples)))
    expected = gradients(student)
    student.row_tokens = budget
    assert loop.gradients(range(len(examples))[::-1]) == pytest.approx(whole, rel=1e-5)
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_no_example_sees_another(student: Student, renderer: Renderer) -> None:
    rows = make_rows(6, analysis=False)
    examples = examples_of(renderer, rows)
    changed = [*examples[:2], examples_of(renderer, make_rows(40, analysis=False)[39:])[0], *examples[3:]]

    def losses(batch: list[Example]) -> list[float]:
        (row,) = pack(batch, 10_000)
        states = student.logits(student.hidden(row)[row.learned_from])
        each = torch.nn.functional.cross_entropy(states, row.targets, reduction="none")
        return [part.sum().item() for part in each.split([len(example.answer) for example in batch])]

    before, after = losses(examples), losses(changed)
    assert before[2] != pytest.approx(after[2], rel=1e-3)
    for index in (0, 1, 3, 4, 5):
        assert before[index] == pytest.approx(after[index], rel=1e-5)


def test_the_end_token_is_learned_though_it_is_the_pad_token(
    tiny: Path, renderer: Renderer, examples: list[Example]
) -> None:
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(tiny).pad_token_id == renderer.end_id
    for row in pack(examples, 300):
        assert (row.targets == renderer.end_id).sum() == len(row.examples)
        # What predicts each learned token stands right before it in its own example.
        same = len(row.examples) == 1
        assert same or torch.equal(row.positions[row.learned_from + 1], row.positions[row.learned_from] + 1)
        assert torch.equal(row.ids[row.learned_from + 1], row.targets)


def test_tokens_computed_counts_what_is_packed(examples: list[Example]) -> None:
    for budget in (1, 300, 5000):
        assert tokens_computed(examples, budget) == sum(len(row.ids) for row in pack(examples, budget))


@pytest.mark.parametrize(
    ("share", "learning"), [(0.5, {"1"}), (0.3, {"1"}), (0.6, {"0", "1"}), (1.0, {"0", "1"})]
)
def test_only_the_upper_share_of_the_layers_learns(tiny: Path, share: float, learning: set[str]) -> None:
    student = new_student(tiny, CONFIG.model_copy(update={"layers": share}), torch.device("cpu"), "tiny")
    layers = {name.split(".layers.")[1].split(".")[0] for name in student.trained_parameters()}
    assert layers == learning
    assert len(student.adapter_weights()) == 14 * len(learning)


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_the_adapter_gives_the_same_answers_in_plain_peft(tiny: Path, tmp_path: Path, share: float) -> None:
    import safetensors.torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    student = moved(
        new_student(tiny, CONFIG.model_copy(update={"layers": share}), torch.device("cpu"), "tiny")
    )
    tmp_path.joinpath("a").mkdir()
    safetensors.torch.save_file(student.adapter_weights(), tmp_path / "a" / "adapter_model.safetensors")
    student.write_adapter_config(tmp_path / "a")
    ids = torch.arange(5, 60)[None]
    ours = student.model(input_ids=ids).logits
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), str(tmp_path / "a")).eval()
    torch.testing.assert_close(plain(input_ids=ids).logits, ours, rtol=1e-5, atol=1e-5)
    merged = plain.merge_and_unload()
    torch.testing.assert_close(merged(input_ids=ids).logits, ours, rtol=1e-4, atol=1e-4)
    with student.base():
        base = student.model(input_ids=ids).logits
    assert not torch.allclose(base, ours, atol=1e-3)
