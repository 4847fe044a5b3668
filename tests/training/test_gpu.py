"""What the CPU's tests say of the trainer, said of a GPU where there is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.training.conftest import examples_of, make_rows, write_job
from training.attention import packed_attention
from training.job import Config
from training.layout import pack
from training.prompt import Renderer
from training.run import run
from training.segments import Segments
from training.stop import Stop
from training.student import new_student

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU; the CPU's tests cover the rest"
)

CONFIG = Config(rank=4, alpha=8, max_length=256, batch_size=4, epochs=2, validations=2)


@pytest.mark.parametrize("prefix", [0, 37])
def test_the_kernels_compute_dense_attention(prefix: int) -> None:
    segments = Segments(prefix, (5, 17, 9))
    total = prefix + sum(segments.lengths)
    generator = torch.Generator("cuda").manual_seed(0)
    states = [
        torch.randn(1, heads, total, 64, generator=generator, device="cuda", dtype=torch.bfloat16)
        for heads in (6, 2, 2)
    ]
    found = []
    for exact in (False, True):
        given = [(state.float() if exact else state).clone().requires_grad_() for state in states]
        if exact:
            mask = segments.mask.to("cuda")
            out = torch.nn.functional.scaled_dot_product_attention(*given, mask, scale=0.125, enable_gqa=True)
        else:
            out = packed_attention(*given, segments, 0.125)
        (out.float() ** 2).sum().backward()
        found.append([out, *(state.grad for state in given)])
    for ours, dense in zip(*found, strict=True):
        torch.testing.assert_close(ours.float(), dense.float(), rtol=3e-2, atol=3e-2)


def test_a_rows_loss_is_that_of_a_cpu(tiny: Path, renderer: Renderer) -> None:
    row = next(pack(examples_of(renderer, make_rows(8)), 4096))
    exact = CONFIG.model_copy(update={"precision": "float32"})
    on_cpu = new_student(tiny, exact, torch.device("cpu"), "tiny").loss_sum(row).item()
    for config, tolerance in ((exact, 1e-4), (CONFIG, 3e-2)):
        on_gpu = new_student(tiny, config, torch.device("cuda", 0), "tiny").loss_sum(row).item()
        assert on_gpu == pytest.approx(on_cpu, rel=tolerance)


def test_a_whole_job(tiny: Path, tmp_path: Path) -> None:
    write_job(tmp_path, tiny, config=CONFIG, device="cuda")
    assert run(str(tmp_path), Stop()) == 0
    result = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert result["hardware"]["device"] == "cuda"
    assert result["peak_memory_mb"]["gpu"] > 0
    assert result["training"]["last_loss"] > 0
