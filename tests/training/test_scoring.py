"""Probabilities from the tree of answers equal those of every answer written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from transformers import AutoModelForCausalLM

from tests.training.conftest import POLICY, examples_of, make_rows
from training.answers import answer_tree
from training.continuation import Continuation, Fed
from training.job import Config
from training.layout import pack
from training.likelihood import LEFT
from training.policy import Category, Policy, label_sets
from training.prompt import CLASSIFICATION, Answer, Form, Renderer, UnreadableAnswerError, parse_answer
from training.reasons import read_written, reason_in, reason_room, write
from training.scoring import ScoringError, prefixes_of, prompts, rows_by_length, score
from training.student import Student, new_student

MAX_LENGTH = 256
# Peft reads a name that transformers has since changed; the warning is for peft's authors.
PEFT_WARNING = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
pytestmark = pytest.mark.filterwarnings(PEFT_WARNING)

AWKWARD = Policy(
    categories=(
        # One begins like "none", and each of the others begins with the one before it.
        Category(code="none_of_it", name="None of it"),
        Category(code="scam", name="Scam"),
        Category(code="scam_link", name="Scam link"),
        Category(code="farm", name="Scam link farm"),
    )
)


@dataclass(frozen=True)
class Both:
    """A student as Overrule computes it, and the same weights as transformers and peft have them."""

    student: Student
    plain: Any
    renderer: Renderer


def both(folder: Path, student: Student, base: Path, renderer: Renderer) -> Both:
    student.save(folder)
    plain = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    return Both(student, PeftModel.from_pretrained(plain, str(folder)).eval(), renderer)


@pytest.fixture(scope="module")
def student(tiny: Path) -> Student:
    """It has learned nothing: hardly any answer of it is valid."""
    student = new_student(tiny, Config(precision="float32", rank=4, alpha=8), torch.device("cpu"), "tiny")
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in student.trained_parameters().values():
            weight.normal_(0.0, 0.1, generator=generator)
    return student


@pytest.fixture(scope="module")
def untaught(
    student: Student, tiny: Path, renderer: Renderer, tmp_path_factory: pytest.TempPathFactory
) -> Both:
    return both(tmp_path_factory.mktemp("untaught"), student, tiny, renderer)


@pytest.fixture(scope="module")
def taught(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """It has learned a few posts in both forms: most answers of it are valid, and some are not."""
    folder = tmp_path_factory.mktemp("taught")
    base = AutoModelForCausalLM.from_pretrained(tiny)
    # The end token pads too, so that its embedding is made of zeros and could not be predicted.
    generator = torch.Generator().manual_seed(1)
    base.lm_head.weight.data[base.config.eos_token_id].normal_(0.0, 0.08, generator=generator)
    base.save_pretrained(folder / "base")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / "base" / name).write_bytes((tiny / name).read_bytes())
    renderer = Renderer(folder / "base", POLICY)
    config = Config(precision="float32", rank=32, alpha=64)
    student = new_student(folder / "base", config, torch.device("cpu"), "tiny")
    examples = examples_of(renderer, make_rows(24))
    learned = sum(len(example.answer) for example in examples)
    optimiser = torch.optim.AdamW(student.trained_parameters().values(), lr=0.01)
    for _ in range(45):
        optimiser.zero_grad()
        for row in pack(examples, 4096):
            (student.loss_sum(row) / learned).backward()
        optimiser.step()
    return both(folder / "adapter", student, folder / "base", renderer)


TEXTS = [row.text or "" for row in make_rows(13)] + ["", "x " * 400]


def written(renderer: Renderer, form: Form, labels: tuple[str, ...]) -> tuple[int, ...]:
    """An answer as far as it is scored, put together by hand."""
    if form == "reasoned":
        return renderer.label_ids(form, labels)
    names = ", ".join(renderer.policy.by_code[code].name.lower() for code in labels) or "none"
    text, end = (names, [renderer.end_id]) if form == "direct" else (f"Classification: {names}\n", [])
    return (*renderer._tokens.encode(text, add_special_tokens=False).ids, *end)


@torch.no_grad()
def next_token(plain: Any, ids: tuple[int, ...]) -> torch.Tensor:
    """The logarithm of the probability of every token at every place, (T, V), by a full forward."""
    log: torch.Tensor = plain(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return log


def brute_force(
    plain: Any, renderer: Renderer, prompt: tuple[int, ...], form: Form, max_labels: int
) -> tuple[list[float], float]:
    """Every answer scored by a full forward of its own."""
    total, none, named = 0.0, 0.0, dict.fromkeys(renderer.policy.codes, 0.0)
    for labels in label_sets(renderer.policy.codes, max_labels):
        answer = written(renderer, form, labels)
        log = next_token(plain, prompt + answer)
        at = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
        chance = np.exp(sum(log[place, token].item() for place, token in zip(at, answer, strict=True)))
        total += chance
        none = chance if not labels else none
        for code in labels:
            named[code] += chance
    return [value / total for value in (*named.values(), total - none)], total


def compare(
    of: Both, table: pd.DataFrame, given: Sequence[tuple[int, ...]], form: Form, max_labels: int
) -> None:
    """That scores are those of brute force for prompts."""
    columns = [*(f"p_{code}" for code in of.renderer.policy.codes), "any_violation"]
    for index, prompt in enumerate(given):
        expected, mass = brute_force(of.plain, of.renderer, prompt, form, max_labels)
        got = table.loc[index, columns].to_numpy(dtype=float)
        np.testing.assert_allclose(got, expected, atol=1e-4)
        assert table.loc[index, "valid_mass"] == pytest.approx(mass, rel=1e-3)


@pytest.mark.parametrize("form", ["direct", "explained"])
@pytest.mark.parametrize(("max_labels", "budget"), [(1, 1), (2, 300), (4, 1024)])
def test_scores_equal_brute_force(untaught: Both, form: Form, max_labels: int, budget: int) -> None:
    untaught.student.scored_tokens = budget
    renderer = untaught.renderer
    table = score(
        untaught.student,
        renderer,
        range(len(TEXTS)),
        TEXTS,
        form=form,
        max_labels=max_labels,
        max_length=MAX_LENGTH,
    ).table
    examples = prompts(renderer, TEXTS, form, answer_tree(renderer, form, max_labels), MAX_LENGTH)
    assert list(table["id"]) == list(range(len(TEXTS)))
    assert examples[-1].shortened
    compare(untaught, table, [example.ids for example in examples], form, max_labels)


@pytest.mark.parametrize("form", ["direct", "explained"])
def test_names_that_begin_others_are_told_apart(untaught: Both, tiny: Path, form: Form) -> None:
    renderer = Renderer(tiny, AWKWARD)
    direct = {labels: renderer.label_ids("direct", labels)[:-1] for labels in label_sets(AWKWARD.codes, 1)}
    for shorter, longer in [((), ("none_of_it",)), (("scam",), ("scam_link",)), (("scam_link",), ("farm",))]:
        assert direct[longer][: len(direct[shorter])] == direct[shorter]
    of = Both(untaught.student, untaught.plain, renderer)
    table = score(
        of.student, renderer, range(4), TEXTS[:4], form=form, max_labels=4, max_length=MAX_LENGTH
    ).table
    examples = prompts(renderer, TEXTS[:4], form, answer_tree(renderer, form, 4), MAX_LENGTH)
    compare(of, table, [example.ids for example in examples], form, 4)


def test_invalid_answers_are_all_that_leaves_the_valid_ones(taught: Both) -> None:
    """Summed from the other side: over every place at which an answer can stop being valid."""
    renderer, tree = taught.renderer, answer_tree(taught.renderer, "direct", 2)
    answers = [renderer.label_ids("direct", labels) for labels in tree.answers]
    beginnings = {answer[:end] for answer in answers for end in range(len(answer))}
    table = score(taught.student, renderer, range(6), TEXTS[:6], max_labels=2, max_length=MAX_LENGTH).table
    for index, example in enumerate(prompts(renderer, TEXTS[:6], "direct", tree, MAX_LENGTH)):
        invalid = 0.0
        for beginning in beginnings:
            log = next_token(taught.plain, example.ids + beginning)[len(example.ids) - 1 :]
            come_here = sum(log[place, token].item() for place, token in enumerate(beginning))
            goes_on = {answer[len(beginning)] for answer in answers if answer[: len(beginning)] == beginning}
            leaves = 1 - log[-1, sorted(goes_on)].exp().sum().item()
            invalid += np.exp(come_here) * leaves
        assert table.loc[index, "valid_mass"] == pytest.approx(1 - invalid, abs=1e-4)
    assert table["valid_mass"].max() > 0.9
    assert table["valid_mass"].min() < 0.99


def test_a_student_that_learned_says_what_it_learned(taught: Both) -> None:
    rows = make_rows(24)
    table = score(
        taught.student,
        taught.renderer,
        range(24),
        [row.text or "" for row in rows],
        max_labels=2,
        max_length=MAX_LENGTH,
    ).table
    for code in ("scam", "hate"):
        named = np.array([code in (row.labels or ()) for row in rows])
        assert roc_auc_score(named, table[f"p_{code}"]) > 0.9


def test_reasoned_scores_equal_brute_force_after_the_written_reason(
    untaught: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 12)
    student, renderer = untaught.student, untaught.renderer
    student.scored_tokens = 1024
    texts = TEXTS[:5]
    table = score(
        student, renderer, range(5), texts, form="reasoned", max_labels=2, max_length=MAX_LENGTH
    ).table
    tree = answer_tree(renderer, "reasoned", 2)
    examples = prompts(renderer, texts, "reasoned", tree, MAX_LENGTH)
    room = MAX_LENGTH - tree.depth
    answers = write(student, renderer, prefixes_of(student, renderer)("reasoned"), examples, room)
    given = []
    for example, answer in zip(examples, answers, strict=True):
        # Written alone, without padding and without a shared prefix, the reason is the same.
        reason = reason_in(renderer, answer, reason_room(renderer, example, room))
        assert reason[:12] == alone(untaught.plain, example.ids, 12)
        assert renderer.decode(reason).endswith(CLASSIFICATION)
        given.append(example.ids + reason)
    compare(untaught, table, given, "reasoned", 2)


@pytest.mark.parametrize("whole", [False, True])
def test_posts_are_scored_as_they_come_to_the_end_of_their_reason(
    taught: Both, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """Some reasons end early and some are cut; what was computed of each is gone on from."""
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 24)
    student, renderer = taught.student, taught.renderer
    texts = [row.text or "" for row in make_rows(40)][20:32]
    told: list[tuple[int, int]] = []
    table = score(
        *(student, renderer, range(12), texts),
        **{"form": "reasoned", "max_labels": 2, "max_length": 320, "reasons": whole},
        on_progress=lambda done, count, tokens: told.append((done, tokens)),
    ).table
    tree = answer_tree(renderer, "reasoned", 2)
    given, lengths = [], set()
    for example in prompts(renderer, texts, "reasoned", tree, 320):
        answer = alone(taught.plain, example.ids, 24)
        room = reason_room(renderer, example, 320 - tree.depth)
        reason = reason_in(renderer, answer[: [*answer, renderer.end_id].index(renderer.end_id)], room)
        given.append(example.ids + reason)
        lengths.add(len(reason))
    assert len(lengths) > 2
    compare(taught, table, given, "reasoned", 2)
    assert len(told) > 2, "they were let go in several parts"
    assert [done for done, _ in told] == sorted({done for done, _ in told}) and told[-1][0] == 12
    behind = sum(len(ids) for ids in given) - 12 * len(renderer.frame_ids("reasoned")[0])
    assert sum(tokens for _, tokens in told) == behind + 12 * tree.nodes


def alone(plain: Any, prompt: tuple[int, ...], tokens: int) -> tuple[int, ...]:
    """What a model writes of one post."""
    ids = torch.tensor([prompt])
    output = plain.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False
    )
    return tuple(output[0, len(prompt) :].tolist())


@pytest.mark.parametrize("form", ["direct", "reasoned"])
def test_what_a_student_writes_is_kept(taught: Both, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 40)
    student, renderer = taught.student, taught.renderer
    texts = [row.text or "" for row in make_rows(40)][20:]

    def scores(**fields: Any) -> Any:
        return score(student, renderer, range(20), texts, form=form, max_labels=2, max_length=320, **fields)

    found = scores(reasons=True)
    # Writing an answer to its end changes no score.
    pd.testing.assert_frame_equal(found.table, scores().table, atol=1e-6)
    kept = found.reasons.to_pylist()
    assert [told["id"] for told in kept] == list(range(20))
    tree = answer_tree(renderer, "reasoned", 2)
    for index, example in enumerate(prompts(renderer, texts, "reasoned", tree, 320)):
        text = renderer.decode(alone(taught.plain, example.ids, 40 + tree.depth)).partition("<|im_end|>")[0]
        told = kept[index]
        try:
            answer = parse_answer(POLICY, "reasoned", text)
        except UnreadableAnswerError:
            assert told["labels"] is None
            assert told["analysis"] == text
            continue
        assert tuple(told["labels"]) == answer.labels
        assert tuple(told["harmful"]) == answer.harmful
        assert told["analysis"] == answer.analysis
    assert found.reasons["labels"].null_count < 20


def test_an_answer_that_cannot_be_read_keeps_its_text(renderer: Renderer) -> None:
    whole = renderer.answer_ids("reasoned", Answer(("hate",), "It is meant to hurt.", ("you",)))[:-1]
    cut = whole[: len(whole) // 2]
    first, second = read_written(renderer, "reasoned", [1, 2], [whole, cut]).to_pylist()
    assert (first["labels"], first["harmful"], first["analysis"]) == (
        ["hate"],
        ["you"],
        "It is meant to hurt.",
    )
    assert (second["labels"], second["harmful"]) == (None, [])
    assert second["analysis"] == renderer.decode(cut)


def test_nothing_is_written_where_no_reason_is_wanted(
    student: Student, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **named: Any) -> None:
        raise AssertionError("something was written")

    monkeypatch.setattr("training.scoring.write", refuse)
    for form in ("direct", "explained"):
        score(student, renderer, range(3), TEXTS[:3], form=form, max_labels=2, max_length=MAX_LENGTH)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="something was written"):
        score(student, renderer, range(3), TEXTS[:3], form="reasoned", max_labels=2, max_length=MAX_LENGTH)


def test_the_prefix_is_computed_once_and_the_head_where_it_is_needed(
    student: Student, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefills: list[int] = []
    states: list[int] = []
    spy(monkeypatch, student, "prefill", lambda ids: prefills.append(len(ids)))
    spy(monkeypatch, student, "exact_logits", lambda hidden: states.append(len(hidden)))
    fed = fed_tokens(monkeypatch)
    monkeypatch.setattr("training.scoring._AT_ONCE", 6)
    prefixes = prefixes_of(student, renderer)
    student.scored_tokens = 200
    for _ in range(2):
        score(student, renderer, range(15), TEXTS, max_labels=2, max_length=MAX_LENGTH, prefixes=prefixes)
    assert prefills == [len(renderer.frame_ids("direct")[0])]
    assert sum(states) == 2 * 15 + sum(fed)
    assert 0 < sum(fed) < 2 * 15 * answer_tree(renderer, "direct", 2).nodes


def test_a_student_that_learned_has_few_branches_computed(
    taught: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(left: float) -> tuple[int, pd.DataFrame]:
        with monkeypatch.context() as patch:
            fed = fed_tokens(patch)
            patch.setattr("training.likelihood.LEFT", left)
            found = score(
                taught.student, taught.renderer, range(13), TEXTS[:13], max_labels=4, max_length=256
            )
        return sum(fed), found.table

    few, table = computed(LEFT)
    every, whole = computed(-1.0)
    assert every == 13 * answer_tree(taught.renderer, "direct", 4).nodes
    # How sure a student becomes in a few steps is also a matter of rounding.
    assert few < every / 2
    # Nothing is off by more than what was left out could be, beside rounding.
    pd.testing.assert_frame_equal(table, whole, atol=LEFT + 1e-6, rtol=0)
    # What it was never shown is hardly ever named, and posts can still be told apart by it.
    assert table["p_xq"].max() < 1e-2
    assert table["p_xq"].nunique() == 13
    assert spearmanr(table["p_xq"], whole["p_xq"]).statistic > 0.9


def fed_tokens(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens posts go on with, a number for each call from now on."""
    fed: list[int] = []
    go_on = Continuation.go_on

    def noting(posts: Continuation, further: Fed) -> torch.Tensor:
        fed.append(len(further.ids))
        return go_on(posts, further)

    monkeypatch.setattr(Continuation, "go_on", noting)
    return fed


def spy(monkeypatch: pytest.MonkeyPatch, of: Any, name: str, note: Callable[[Any], None]) -> None:
    """Note what a method is given, and let it do its work."""
    method = getattr(of, name)

    def noting(given: Any) -> Any:
        note(given)
        return method(given)

    monkeypatch.setattr(of, name, noting)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(0, 20), st.integers(1, 300))
def test_rows_hold_posts_of_about_the_same_length_under_the_budget(
    lengths: list[int], nodes: int, budget: int
) -> None:
    rows = list(rows_by_length([[0] * length for length in lengths], nodes, lambda: budget))
    order = [index for row, _ in rows for index in row]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[index] for index in order] == sorted(lengths)
    for row, tokens in rows:
        assert tokens == sum(lengths[index] + nodes for index in row)
        assert len(row) == 1 or len(row) * (max(lengths[index] for index in row) + nodes) <= budget


def test_parts_of_many_posts_are_put_together(
    student: Student, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score(student, renderer, range(15), TEXTS, max_labels=2, max_length=MAX_LENGTH).table
    monkeypatch.setattr("training.scoring._AT_ONCE", 4)
    parts = score(student, renderer, range(15), TEXTS, max_labels=2, max_length=MAX_LENGTH).table
    pd.testing.assert_frame_equal(parts, whole, atol=1e-6)


def test_memory_does_not_grow_with_the_number_of_posts(student: Student, renderer: Renderer) -> None:
    process = psutil.Process()
    texts = [f"{TEXTS[number % 13]} {number}" for number in range(1200)]
    used: list[float] = []

    def note(*_: int) -> None:
        used.append(process.memory_info().rss / 2**20)

    student.scored_tokens = 2048
    for count in (240, 1200):
        score(
            student,
            renderer,
            range(count),
            texts[:count],
            max_labels=2,
            max_length=MAX_LENGTH,
            on_progress=note,
        )
        if count == 240:
            before = max(used)
    # Kept for all posts, the states of one layer alone take 37.
    assert max(used) - before < 20


def test_label_ids_are_how_an_answer_ends(renderer: Renderer) -> None:
    for labels in label_sets(POLICY.codes, 2):
        whole = renderer.answer_ids("reasoned", Answer(labels, "Money is asked for.", ("money",)))
        end = renderer.label_ids("reasoned", labels)
        assert whole[-len(end) :] == end
        assert renderer.decode(whole[: -len(end)]).endswith(CLASSIFICATION)


def test_the_tree_shares_beginnings(renderer: Renderer) -> None:
    tree = answer_tree(renderer, "direct", 2)
    assert len(tree.answers) == 1 + 4 + 6
    beginnings = {
        renderer.label_ids("direct", labels)[:depth]
        for labels in tree.answers
        for depth in range(1, len(renderer.label_ids("direct", labels)))
    }
    assert tree.nodes == len(beginnings)
    assert all(first <= second for first, second in pairwise(tree.states.tolist()))
    for node, way in enumerate(tree.ancestors.tolist()):
        assert way[tree.depths[node] - 1 :] == [node] * (tree.depth - int(tree.depths[node]) + 1) or node == 0


def test_the_base_model_scores_otherwise(student: Student, renderer: Renderer) -> None:
    own = score(student, renderer, range(3), TEXTS[:3], max_labels=1, max_length=MAX_LENGTH).table
    with student.base():
        base = score(student, renderer, range(3), TEXTS[:3], max_labels=1, max_length=MAX_LENGTH).table
    assert (own["p_scam"] - base["p_scam"]).abs().max() > 1e-4


def test_progress_counts_every_post_and_nothing_scores_nothing(student: Student, renderer: Renderer) -> None:
    seen: list[int] = []
    student.scored_tokens = 200
    score(
        student,
        renderer,
        range(len(TEXTS)),
        TEXTS,
        max_labels=1,
        max_length=MAX_LENGTH,
        on_progress=lambda done, total, tokens: seen.append(done),
    )
    assert seen == sorted(seen)
    assert seen[-1] == len(TEXTS)
    nothing = score(student, renderer, [], [], max_labels=1, max_length=MAX_LENGTH, reasons=True)
    assert len(nothing.table) == len(nothing.reasons) == 0


def test_a_policy_without_room_for_a_post_is_refused(student: Student, renderer: Renderer) -> None:
    with pytest.raises(ScoringError, match="leave no room"):
        score(student, renderer, ["a"], ["hello " * 90], max_labels=1, max_length=60)


def test_too_many_answers_are_refused(tiny: Path) -> None:
    policy = Policy(categories=tuple(Category(code=f"c{index}", name=f"c{index}") for index in range(40)))
    with pytest.raises(ScoringError, match="102091 answers"):
        answer_tree(Renderer(tiny, policy), "direct", 4)


def test_answers_that_a_tokenizer_cannot_tell_apart_are_refused(tiny: Path) -> None:
    class Alike(Renderer):
        def label_ids(self, form: Form, labels: object) -> tuple[int, ...]:
            return (5, self.end_id)

    policy = Policy(categories=(Category(code="a", name="A"),))
    with pytest.raises(ScoringError, match="alike"):
        answer_tree(Alike(tiny, policy), "direct", 1)
