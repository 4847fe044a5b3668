"""LoRA's kinds, QLoRA's refusal, and full fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from transformers.utils import is_bitsandbytes_available

from tests.training.conftest import examples_of, make_rows, write_job
from tests.training.test_exactness import gradients, loop_of, moved, plain_loss
from tests.training.test_job import do, result_of
from tests.training.test_loop import StopAt, same
from training import methods
from training.adapter import Card
from training.base_model import resolve
from training.checkpoints import Checkpoints
from training.full import MOST_WEIGHTS, FullStudent, count_weights, new_full_student
from training.job import Config, Preference
from training.loop import Loop, Trained
from training.objective import Teaching
from training.progress import Reporter
from training.prompt import Renderer
from training.quantized import QuantizationError, nf4, require_4bit
from training.stop import Stop
from training.student import Student, StudentError, new_student

CPU = torch.device("cpu")
FULL = Config(
    precision="float32",
    method="full",
    learning_rate=1e-3,
    epochs=2,
    batch_size=4,
    validations=2,
    max_length=256,
)


@pytest.fixture
def full(tiny: Path) -> FullStudent:
    return new_full_student(tiny, FULL, CPU)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.arange(5, 60)[None]).logits
    return found


LORAS = pytest.mark.parametrize(
    "kind", [{}, {"rslora": True}, {"dora": True}, {"rslora": True, "dora": True}], ids=str
)


def lora(tiny: Path, kind: dict[str, bool]) -> Student:
    config = Config(precision="float32", rank=4, alpha=8, max_length=256).model_copy(update=kind)
    return moved(new_student(tiny, config, CPU, "tiny"))


@LORAS
def test_every_kind_of_lora_has_plain_hugging_faces_gradients(
    tiny: Path, renderer: Renderer, tmp_path: Path, kind: dict[str, bool]
) -> None:
    student, examples = lora(tiny, kind), examples_of(renderer, make_rows(6))
    loss = plain_loss(student, examples)
    torch.autograd.backward(loss)
    plain = gradients(student)
    assert len(plain) == (42 if kind.get("dora") else 28)
    assert loop_of(student, examples, tmp_path).gradients(range(len(examples))) == pytest.approx(
        loss.item(), rel=1e-5
    )
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, plain[name], rtol=1e-4, atol=1e-5)


@LORAS
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_every_kind_of_lora_is_the_same_in_plain_peft_and_merged(
    tiny: Path, tmp_path: Path, kind: dict[str, bool]
) -> None:
    student = lora(tiny, kind)
    (tmp_path / "a").mkdir()
    student.save(tmp_path / "a")
    ours = logits(student.model)
    plain = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(tiny), str(tmp_path / "a")).eval()
    torch.testing.assert_close(logits(plain), ours, rtol=1e-5, atol=1e-5)
    loaded = methods.load(tiny, tmp_path / "a", Config(precision="float32"), CPU, 256)
    torch.testing.assert_close(logits(loaded.model), ours, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits(plain.merge_and_unload()), ours, rtol=1e-4, atol=1e-4)
    with student.base():
        assert not torch.allclose(logits(student.model), ours, atol=1e-3)


def test_rslora_scales_by_the_root_of_the_rank_and_dora_sizes_outputs_apart(tiny: Path) -> None:
    plain, rooted, sized = (lora(tiny, kind) for kind in ({}, {"rslora": True}, {"dora": True}))
    name = "layers.0.self_attn.q_proj"
    scales = [
        next(module for path, module in student.model.named_modules() if path.endswith(name)).scaling[
            "default"
        ]
        for student in (plain, rooted)
    ]
    assert scales == [2.0, 4.0]
    assert any("lora_magnitude_vector" in weight for weight in sized.adapter_weights())


def test_qlora_says_what_it_needs() -> None:
    with pytest.raises(QuantizationError, match=r"needs a GPU.*choose the method lora"):
        require_4bit(CPU)
    if is_bitsandbytes_available():
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(QuantizationError, match=r"pip install \"overrule\[qlora\]\""):
        require_4bit(torch.device("cuda"))


def test_qlora_is_the_papers_setting() -> None:
    config = nf4()
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (
        True,
        "nf4",
        True,
    )
    assert config.bnb_4bit_compute_dtype == torch.bfloat16


def test_a_qlora_job_without_a_gpu_fails_with_the_sentence(tiny: Path, tmp_path: Path) -> None:
    write_job(tmp_path, tiny, config=Config(precision="float32", method="qlora", max_length=256))
    assert do(tmp_path) == 1
    assert "choose the method lora" in result_of(tmp_path)["reason"]


def test_kinds_of_lora_are_none_of_full_fine_tuning() -> None:
    with pytest.raises(ValidationError, match="kinds of LoRA; switch them off"):
        Config(precision="float32", method="full", dora=True)
    with pytest.raises(ValidationError, match="kinds of LoRA"):
        Config(precision="float32", method="full", rslora=True)
    with pytest.raises(ValidationError, match="switch the step off"):
        Config(precision="float32", method="full", preference=Preference())


def test_all_weights_learn_with_plain_hugging_faces_gradients(
    full: FullStudent, renderer: Renderer, tmp_path: Path
) -> None:
    examples = examples_of(renderer, make_rows(6))
    assert {weight.dtype for weight in full.trained_parameters().values()} == {torch.float32}
    # The tied head is the embedding: one weight, learned once.
    assert "lm_head.weight" not in full.trained_parameters()
    assert full.trained_parameters().keys() == dict(full.model.named_parameters()).keys()
    loss = plain_loss(full, examples)
    torch.autograd.backward(loss)
    plain = gradients(full)
    assert loop_of(full, examples, tmp_path).gradients(range(len(examples))) == pytest.approx(
        loss.item(), rel=1e-5
    )
    for name, gradient in gradients(full).items():
        torch.testing.assert_close(gradient, plain[name], rtol=1e-4, atol=1e-5)


def test_the_layers_below_are_computed_once_with_the_same_gradients(
    tiny: Path, renderer: Renderer, tmp_path: Path
) -> None:
    student = new_full_student(tiny, FULL.model_copy(update={"layers": 0.5}), CPU)
    examples = examples_of(renderer, make_rows(6))
    loop = loop_of(student, examples, tmp_path)
    loss = loop.gradients(range(len(examples)))
    expected = gradients(student)
    assert student.keep_lower([examples])
    assert loop.gradients(range(len(examples))) == pytest.approx(loss, rel=1e-5)
    assert student.tokens_below > 0
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5)


def untied(tiny: Path, into: Path) -> Path:
    """The tiny model with a head of its own."""
    model = LlamaForCausalLM.from_pretrained(tiny)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.model.embed_tokens.weight.detach() * 0.9)
    model.save_pretrained(into)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (into / name).write_bytes((tiny / name).read_bytes())
    return into


def test_only_the_upper_share_the_norm_and_a_head_of_its_own_learn(tiny: Path, tmp_path: Path) -> None:
    config = FULL.model_copy(update={"layers": 0.5})
    tied = new_full_student(tiny, config, CPU).trained_parameters()
    own = new_full_student(untied(tiny, tmp_path / "untied"), config, CPU).trained_parameters()
    assert all(name.startswith("model.layers.1.") or name == "model.norm.weight" for name in tied)
    assert own.keys() == tied.keys() | {"lm_head.weight"}
    # What lies below them is computed once, as under LoRA.
    assert new_full_student(tiny, config, CPU).frozen_layers == 1
    assert new_full_student(tiny, FULL, CPU).frozen_layers == 0
    assert len(tied) == 10


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("make", [lambda tiny, folder: tiny, untied], ids=["tied", "untied"])
def test_a_full_student_is_a_model_that_transformers_loads(
    tiny: Path, tmp_path: Path, share: float, make: Callable[[Path, Path], Path]
) -> None:
    base = make(tiny, tmp_path / "base")
    student = new_full_student(base, FULL.model_copy(update={"layers": share}), CPU)
    before = logits(student.model)
    with torch.no_grad():
        for weight in student.trained_parameters().values():
            weight.mul_(1.05)
    after = logits(student.model)
    assert not torch.allclose(before, after, atol=1e-2)
    with student.base():
        assert torch.equal(logits(student.model), before)
    assert torch.equal(logits(student.model), after)
    student.save(tmp_path / "saved")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "saved")), after)
    again = methods.load(base, tmp_path / "saved", FULL, CPU, 256)
    assert torch.equal(logits(again.model), after)
    with again.base():
        assert torch.equal(logits(again.model), before)
    assert count_weights(tmp_path / "saved") == sum(p.numel() for p in student.model.parameters())


def test_weights_of_another_model_are_refused(full: FullStudent, tmp_path: Path) -> None:
    weights = full.adapter_weights()
    weights.pop("model.norm.weight")
    with pytest.raises(StudentError, match="do not fit"):
        full.set_adapter_weights(weights)
    with pytest.raises(StudentError, match=r"holds no model\.safetensors"):
        methods.load(tmp_path, tmp_path, FULL, CPU, 256)


def test_a_large_model_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    count = MOST_WEIGHTS + 2**20
    header = json.dumps({"w": {"dtype": "BF16", "shape": [count], "data_offsets": [0, 2 * count]}}).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        # Nothing is written there, so it takes no room.
        file.truncate(8 + len(header) + 2 * count)
    with pytest.raises(StudentError, match=r"2\.0 billion weights would take about 32 GB .* method lora"):
        new_full_student(tmp_path, FULL, CPU)


@pytest.fixture(scope="module")
def done(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs") / "full"
    write_job(folder, tiny, config=FULL, score_base=True)
    assert do(folder) == 0
    return folder


def test_a_full_job_leaves_a_models_folder(done: Path) -> None:
    names = {path.name for path in (done / "adapter").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "overrule.json"} <= names
    assert not any(name.startswith("adapter_") for name in names)
    assert Card.read(done / "adapter").config.method == "full"
    assert resolve(str(done / "adapter"), done) == done / "adapter"
    assert "of weights, gradients and optimiser state" in (done / "log.txt").read_text()


def score_again(done: Path, tiny: Path, folder: Path) -> None:
    write_job(folder, tiny, kind="score", adapter=str(done / "adapter"), score_base=True)
    (folder / "train.parquet").unlink()


def test_a_full_student_scores_later_as_it_did(done: Path, tiny: Path, tmp_path: Path) -> None:
    score_again(done, tiny, tmp_path)
    assert do(tmp_path) == 0
    for name in ("test", "base/test"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "predictions" / f"{name}.parquet"),
            pd.read_parquet(done / "predictions" / f"{name}.parquet"),
            atol=1e-6,
        )
    own, base = (pd.read_parquet(done / "predictions" / f"{name}.parquet") for name in ("test", "base/test"))
    assert (own["p_scam"] - base["p_scam"]).abs().max() > 1e-3


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_stopped_full_run_goes_on_bit_for_bit(
    tiny: Path, renderer: Renderer, tmp_path: Path, share: float
) -> None:
    config = FULL.model_copy(update={"layers": share})
    examples = examples_of(renderer, make_rows(8, analysis=False))

    def part(folder: Path, stop: Stop) -> Trained:
        return Loop(
            student := new_full_student(tiny, config, CPU),
            Teaching(student, examples, range(len(examples))),
            Teaching(student, examples[:3], range(3)),
            config,
            checkpoints=Checkpoints(folder / "checkpoints", "one"),
            reporter=Reporter(folder / "progress.jsonl"),
            stop=stop,
        ).run()

    whole = part(tmp_path / "whole", Stop())
    stopped = part(tmp_path / "parts", StopAt(3))
    assert not stopped.finished
    resumed = part(tmp_path / "parts", Stop())
    assert resumed.resumed_from == stopped.step > 0
    assert same(resumed.weights, whole.weights)
