"""The arithmetic and the refereeing of the benchmarks; their timings are not tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from tests.benchmarks.scoring.__main__ import measure
from tests.benchmarks.scoring.contest import Contest, OtherScoresError
from tests.benchmarks.training import environments, peers
from tests.benchmarks.training.contest import Contestant, ContestError, check_loss, check_work, once, play
from tests.benchmarks.training.figures import Figure, examples_per_second, ratios, table, verdict
from tests.benchmarks.training.flops import Shape, needed, seen_pairs
from tests.benchmarks.training.growth import growth
from tests.benchmarks.training.posts import SAMPLE, PostsError, nearest, policy_of, read_posts, render, spread
from tests.benchmarks.training.setting import Setting
from tests.benchmarks.training.start import start
from tests.benchmarks.training.task import IGNORED, OtherTokensError, Task, Tokens, Turn, read_back
from training.prompt import Renderer
from training.segments import shared_prefix_mask

RANK = 4
# Peft reads a name that transformers has since changed; the warning is for peft's authors.
PEFT_WARNING = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def examples(tiny: Path) -> list[Tokens]:
    """Eight sample posts behind a policy of the benchmarks."""
    return spread(render(Renderer(tiny, policy_of(tiny, 600)), read_posts(SAMPLE)), 8)


@pytest.fixture
def setting(tiny: Path, tmp_path: Path) -> Setting:
    return Setting(
        model=tiny,
        model_name="tiny",
        device=torch.device("cpu"),
        precision="float32",
        posts_path=SAMPLE,
        batch=4,
        batches=2,
        rounds=1,
        folder=tmp_path,
    )


def turn(seconds: float = 1.0, count: int = 8, **fields: object) -> Turn:
    usual = {
        "processor_seconds": seconds,
        "learned": 24,
        "tokens": 800,
        "first": [],
        "first_loss": None,
        "memory_mb": 0.0,
    }
    return Turn(seconds=seconds, examples=count, **(usual | fields))  # type: ignore[arg-type]


@PEFT_WARNING
def test_parameters_are_those_of_the_model(tiny: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny)
    layers = [module for module in model.model.layers.modules() if isinstance(module, torch.nn.Linear)]
    shape = Shape.of(tiny)
    assert shape.frozen == sum(module.weight.numel() for module in layers)
    lora = LoraConfig(task_type="CAUSAL_LM", r=RANK, target_modules="all-linear")
    assert shape.trained(RANK) == get_peft_model(model, lora).get_nb_trainable_parameters()[0]


@PEFT_WARNING
def test_needed_operations_of_one_example_are_those_that_torch_counts(
    tiny: Path, examples: list[Tokens]
) -> None:
    example = examples[0]
    base = AutoModelForCausalLM.from_pretrained(tiny, attn_implementation="eager")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=RANK, target_modules="all-linear"))
    # Else nothing is computed backward through the lowest layer's projections, which are few.
    model.enable_input_require_grads()
    length = len(example.ids)
    learned_from = slice(length - example.answer - 1, length - 1)
    with FlopCounterMode(display=False) as counter:
        states = base.model(input_ids=torch.tensor([example.ids]), use_cache=False).last_hidden_state
        torch.autograd.backward(base.lm_head(states[0, learned_from]).sum())
    shape = Shape.of(tiny)
    # Eager attention computes every pair, those that are masked too.
    masked = length * length - seen_pairs([example], rows=1)
    counted = counter.get_total_flops() - 12 * shape.layers * shape.attention * masked
    assert needed([example], 1, shape, RANK) == pytest.approx(counted, rel=1e-3)


def test_pairs_are_those_of_the_packed_rows_mask(examples: list[Tokens]) -> None:
    prefix = examples[0].prefix
    mask = shared_prefix_mask(prefix, [len(example.ids) - prefix for example in examples])
    assert seen_pairs(examples, rows=1) == int(mask.sum())


def test_a_policy_computed_twice_needs_its_tokens_twice(tiny: Path, examples: list[Tokens]) -> None:
    shape, prefix = Shape.of(tiny), examples[0].prefix
    more = needed(examples, 2, shape, RANK) - needed(examples, 1, shape, RANK)
    linear = prefix * (4 * shape.frozen + 6 * shape.trained(RANK))
    assert more == linear + 12 * shape.layers * shape.attention * prefix * (prefix + 1) // 2


def test_ratios_are_taken_round_by_round_without_the_warm_up() -> None:
    ours = examples_per_second([turn(9.0), turn(1.0), turn(2.0), turn(1.0)])
    theirs = examples_per_second([turn(1.0), turn(4.0), turn(6.0), turn(5.0)])
    assert ours == [8.0, 4.0, 8.0]
    assert Figure.of(ratios(ours, theirs)) == Figure(4.0, 3.0, 5.0)
    with pytest.raises(ValueError, match="zip"):
        ratios(ours, theirs[:2])


def test_figures_are_written_with_their_spread() -> None:
    assert Figure(4.0, 3.0, 5.125).text(2, " ×") == "4.00 × (3.00–5.12)"
    assert verdict(5.0, 5) == "≥ 5: reached"
    assert verdict(1.7, 1.6, at_least=False) == "≤ 1.6: missed"
    assert verdict(1.0, None) == "–"
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_examples_are_read_back_from_padded_and_from_packed_rows(examples: list[Tokens]) -> None:
    longest = max(len(example.ids) for example in examples)

    def padded(example: Tokens) -> tuple[list[int], list[int]]:
        missing = longest - len(example.ids)
        # The pad token is the end token too, as with the default base model.
        return [*example.ids, *[example.ids[-1]] * missing], [*example.labels, *[IGNORED] * missing]

    assert read_back([padded(examples[index]) for index in (3, 0, 3)], examples) == [3, 0, 3]
    packed = [token for index in (2, 5, 1) for token in examples[index].ids]
    labels = [token for index in (2, 5, 1) for token in examples[index].labels]
    assert read_back([([*packed, 0, 0], [*labels, IGNORED, IGNORED])], examples) == [2, 5, 1]


def test_other_tokens_are_noticed(examples: list[Tokens]) -> None:
    first = examples[0]
    changed = [*first.ids[:-2], first.ids[-2] + 1, first.ids[-1]]
    with pytest.raises(OtherTokensError, match="not of the given examples"):
        read_back([(changed, first.labels)], examples)
    with pytest.raises(OtherTokensError, match="other learned tokens"):
        read_back([(first.ids, first.ids)], examples)


def test_posts_are_spread_over_all_lengths(tiny: Path) -> None:
    found = render(Renderer(tiny, policy_of(tiny, 600)), read_posts(SAMPLE))
    assert len(found) == 400
    mean = sum(len(example.ids) for example in found) / len(found)
    chosen = spread(found, 16)
    assert len(set(chosen)) == 16
    assert sum(len(example.ids) for example in chosen) / 16 == pytest.approx(mean, rel=0.05)
    own = [len(example.ids) - example.prefix for example in nearest(found, 66, 16)]
    assert all(abs(length - 66) <= 10 for length in own)
    with pytest.raises(PostsError, match="401 posts are needed and the file has 400"):
        spread(found, 401)


@pytest.mark.parametrize("tokens", [600, 1000, 2000])
def test_the_policy_is_about_as_long_as_asked_for(tiny: Path, tokens: int) -> None:
    length = len(Renderer(tiny, policy_of(tiny, tokens)).frame_ids("direct")[0])
    assert abs(length - tokens) <= 40


def test_posts_of_the_corpus_are_read_with_its_own_labels(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("id,text,label\n1,one,not_hate\n2,two,explicit_hate\n3, ,not_hate\n")
    assert [post.labels for post in read_posts(path)] == [(), ("hate",)]
    path.write_text("id,text\n1,one\n")
    with pytest.raises(PostsError, match="needs a column text and a column labels or label"):
        read_posts(path)


def test_every_peers_best_settings_were_tried() -> None:
    for (peer, _), best in peers.BEST.items():
        assert best in peers.candidates(peer)


def test_every_version_is_pinned() -> None:
    folder = Path(environments.__file__).with_name("requirements")
    assert environments.names() == ["llamafactory", "trl"]
    for name in environments.names():
        lines = (folder / f"{name}.txt").read_text().split()
        assert all("==" in line for line in lines)
        assert any(line.startswith("torch==") for line in lines)


@pytest.mark.slow
def test_contestants_learn_the_same_from_the_same_model(setting: Setting, examples: list[Tokens]) -> None:
    """Real processes; the peers' own environments are not needed for it."""
    task = setting.task("all", examples)
    losses = setting.reference("all", task)
    contestants = [
        Contestant("overrule", "overrule"),
        Contestant("padded_loop", "padded_loop", settings={"per_call": 2}),
    ]
    turns = play(contestants, task, 1, setting.folder, say=lambda _: None)
    for name in ("overrule", "padded_loop"):
        assert len(turns[name]) == 2
        check_work(name, turns[name], examples)
        assert check_loss(name, turns[name][0], examples, losses, "float32") < 1e-5
    assert turns["overrule"][0].about["rows"] >= 1
    with pytest.raises(ContestError, match="it was given 8 with"):
        check_work("overrule", turns["overrule"], [replace(examples[0], answer=2), *examples[1:]])
    with pytest.raises(ContestError, match="its speed says nothing"):
        check_loss("overrule", turns["overrule"][0], examples, [loss * 1.01 for loss in losses], "float32")


def test_a_contestant_that_breaks_off_is_told_with_its_last_words(
    setting: Setting, examples: list[Tokens]
) -> None:
    task: Task = replace(setting.task("all", examples), model=str(setting.folder))
    with pytest.raises(ContestError, match=r"(?s)broken broke off \(exit code 1\).*config"):
        once(Contestant("broken", "reference"), task, setting.folder)


@pytest.mark.slow
def test_the_first_step_is_timed(setting: Setting) -> None:
    report = start(setting, 600)
    loading, step = report.rows
    assert 0 < float(loading[1].split()[0]) < float(step[1].split()[0])


def test_growth_is_measured_in_one_row(setting: Setting) -> None:
    report = growth(setting)
    assert report.data["ratio"] > 0
    assert [row[0] for row in report.rows] == sorted((row[0] for row in report.rows), key=int)


@pytest.fixture
def scoring(tiny: Path) -> Contest:
    return Contest(
        tiny, SAMPLE, torch.device("cpu"), "float32", count=6, few=4, answered=2, policy_tokens=600, taught=16
    )


@PEFT_WARNING
def test_scoring_is_measured_beside_generate_and_full_forwards(scoring: Contest) -> None:
    report = measure(scoring, 1)
    assert [row[0].split(",")[0] for row in report.rows] == [
        "Overrule",
        "`generate`",
        "a forward for each post",
    ]
    assert report.data["apart"] < 1e-5
    assert all(float(row[1].split()[0]) > 0 for row in report.rows)
    # A right answer is as long as the post's labels say.
    assert scoring.generate(1) == sum(answer for _, _, answer in scoring.few_posts)


@PEFT_WARNING
def test_the_speed_of_other_scores_is_not_reported(scoring: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = scoring.overrule().copy()
    scores[scoring.to_answer[1], 3] += 2e-4
    monkeypatch.setattr(Contest, "overrule", lambda self: scores)
    with pytest.raises(OtherScoresError, match=r"more than 0\.0001: it does not compute the same"):
        measure(scoring, 1)
