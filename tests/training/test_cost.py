"""What is counted beforehand is what the model then has and does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.training.conftest import examples_of, make_rows
from training import methods
from training.answers import answer_tree
from training.cost import (
    Counts,
    Shape,
    UnknownShapeError,
    answer_nodes,
    counted,
    counted_scoring,
    forward_work,
    learned_weights,
    lower_bytes,
    lower_work,
    padded_tokens,
    peak_memory,
    row_budget,
    targeted,
    training_work,
)
from training.job import Config
from training.layout import PackedRow, pack, tokens_computed
from training.machine import has_bf16_units
from training.prompt import Example, Renderer
from training.student import Student

CPU = torch.device("cpu")


@pytest.fixture
def examples(renderer: Renderer) -> list[Example]:
    return examples_of(renderer, make_rows(12))


def student(tiny: Path, **settings: object) -> tuple[Student, Config]:
    config = Config.model_validate({"rank": 4, "max_length": 256} | settings)
    return methods.begin(tiny, config, CPU, "tiny"), config


def test_a_shape_is_that_of_the_model(tiny: Path) -> None:
    shape = Shape.read(tiny)
    bare = student(tiny)[0]
    assert bare.shape == shape
    own = [weight for name, weight in bare.model.named_parameters() if "lora_" not in name]
    assert shape.weights == sum(weight.numel() for weight in own)
    assert (shape.layers, shape.hidden, shape.attention, shape.context) == (2, 64, 64, 4096)
    assert len(shape.linears) == 7
    assert shape.layer_weights == 64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128


def test_files_that_say_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownShapeError, match="cannot be looked at"):
        Shape.read(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UnknownShapeError, match="no layers"):
        Shape.read(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layers": 0.5, "rank": 3},
        {"targets": ("q_proj", "down_proj")},
        {"targets": r".*\.layers\.\d+\.self_attn\.[kv]_proj", "layers": 0.1},
        {"dora": True},
        {"method": "full"},
    ],
)
def test_learned_weights_are_those_that_peft_makes(tiny: Path, settings: dict[str, object]) -> None:
    made, config = student(tiny, **settings)
    assert learned_weights(made.shape, config) == sum(w.numel() for w in made.trained_parameters().values())


def test_targets_that_match_nothing_are_seen(tiny: Path) -> None:
    assert targeted(Shape.read(tiny), Config(targets=("c_attn",))) == ()


def test_counts_are_those_of_the_packed_rows(examples: list[Example]) -> None:
    for budget in (1, 120, 10_000):
        found = counted(examples, budget)
        rows = list(pack(examples, budget))
        assert found.tokens == sum(len(row.ids) for row in rows) == tokens_computed(examples, budget)
        assert found.examples == len(examples)
        assert found.states == sum(len(row.targets) for row in rows)
        assert found.pairs == sum(int(_mask(row).sum()) for row in rows)
        assert found.longest == max(len(row.ids) for row in rows)


def _mask(row: PackedRow) -> torch.Tensor:
    """Which token (first axis) sees which: the prefix, and its own example's past."""
    blocks = torch.tensor([row.segments.prefix, *row.segments.lengths])
    owner = torch.repeat_interleave(torch.arange(len(blocks)), blocks)
    return ((owner[:, None] == owner[None, :]) | (owner[None, :] == 0)).tril()


def test_a_peer_pads_each_example_to_its_batchs_longest(examples: list[Example]) -> None:
    batches = [examples[:3], examples[3:4]]
    lengths = [len(example) for example in examples]
    assert padded_tokens(batches) == 3 * max(lengths[:3]) + lengths[3]


@pytest.mark.parametrize(
    "settings", [{}, {"layers": 0.5}, {"targets": ("q_proj", "v_proj")}, {"method": "full"}]
)
def test_work_is_what_torch_counts(tiny: Path, examples: list[Example], settings: dict[str, object]) -> None:
    made, config = student(tiny, **settings)
    # What fills a row up is computed and not needed.
    made.row_multiple = 1
    counts = counted(examples, 10_000)
    # Torch counts what a kernel computes of attention, needed or not; the rest must agree.
    seen = Counts(counts.examples, counts.tokens, 0, counts.states)
    rows = list(pack(examples, 10_000))
    with torch.no_grad(), made.base(), FlopCounterMode(display=False) as forward:
        for row in rows:
            made.loss_sum(row)
    assert forward_work(made.shape, seen) == pytest.approx(_matrices(forward), rel=0.01)
    with FlopCounterMode(display=False) as both:
        for row in rows:
            made.loss_sum(row).backward()  # type: ignore[no-untyped-call]
    # Nothing below the lowest learning layer's own weights needs a gradient: a little less than counted.
    assert training_work(made.shape, config, seen) == pytest.approx(_matrices(both), rel=0.15)
    assert training_work(made.shape, config, seen) >= _matrices(both)


def _matrices(counter: FlopCounterMode) -> float:
    counts = counter.get_flop_counts()["Global"]
    return float(sum(flops for kernel, flops in counts.items() if str(kernel) in ("aten.mm", "aten.addmm")))


def test_frozen_layers_whose_output_is_kept_are_computed_once(tiny: Path, examples: list[Example]) -> None:
    config = Config(layers=0.5, rank=4, max_length=256)
    shape, counts = Shape.read(tiny), counted(examples, 10_000)
    whole, kept = (training_work(shape, config, counts, kept=each) for each in (False, True))
    assert lower_work(shape, config, counts) == pytest.approx(whole - kept)
    assert lower_work(shape, Config(), counts) == 0
    exact = config.model_copy(update={"precision": "float32"})
    assert lower_bytes(shape, exact, 100, "cpu") == 100 * 64 * 4
    assert lower_bytes(shape, config, 100, "cuda") == 100 * 64 * 2
    assert lower_bytes(shape, config, 100, "cpu") == 100 * 64 * (2 if has_bf16_units() else 4)
    assert lower_bytes(shape, Config(), 100, "cpu") == 0


def test_a_row_is_as_long_as_half_of_the_memory_allows(tiny: Path) -> None:
    shape, config = Shape.read(tiny), Config(precision="float32")
    fixed, whole = (peak_memory(shape, config, tokens, "cpu") for tokens in (0, 1024))
    least = fixed + 2 * (whole - fixed)
    assert row_budget(shape, config, "cpu", 1e12) == 4096
    assert row_budget(shape, config, "cuda", 1e12) == 4096
    assert row_budget(shape, Config(), "cuda", 1e12) == 16384
    assert row_budget(shape, config, "cpu", least) == 1024
    assert row_budget(shape, config, "cpu", least - 1) == 512
    assert row_budget(shape, config, "cpu", 0) == 512


def test_posts_that_are_scored_take_memory_and_more_where_they_are_written_of(tiny: Path) -> None:
    shape = Shape.read(tiny)
    assert 0 < shape.keys <= shape.attention
    direct, reasoned = (
        peak_memory(shape, Config(precision="float32", answers=answers), 0, "cpu")
        for answers in ("direct", "reasoned")
    )
    # 128 posts of 256 tokens in place of 8,192 tokens that are there twice, keys and values in each layer.
    assert reasoned - direct == 4 * 2 * shape.layers * shape.keys * (128 * 256 - 2 * 8192)


def test_scoring_counts_the_prefix_once_and_the_tree_behind_each_post(renderer: Renderer) -> None:
    tree = answer_tree(renderer, "direct", 2)
    nodes = answer_nodes(renderer, "direct")
    assert nodes == tree.alone.sum() - 1
    assert nodes < tree.nodes
    found = counted_scoring(50, [10, 20], nodes)
    assert found.tokens == 50 + 30 + 2 * nodes
    assert found.states == 2 * (nodes + 1)
    assert found.pairs == 50 * 51 // 2 + sum(
        (tail + nodes) * 50 + tail * (tail + 1) // 2 + nodes * tail for tail in (10, 20)
    )
