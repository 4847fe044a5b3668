"""Probabilities from the tree of answers equal those of every answer written out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import POLICY, make_rows
from training.answers import answer_tree
from training.job import Config
from training.policy import Category, Policy, label_sets
from training.prompt import CLASSIFICATION, Form, Renderer
from training.reasons import write_reasons
from training.scoring import ScoringError, prompts, score
from training.student import Student, new_student

MAX_LENGTH = 256


@pytest.fixture(scope="module")
def student(tiny: Path) -> Student:
    student = new_student(tiny, Config(precision="float32", rank=4, alpha=8), torch.device("cpu"), "tiny")
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in student.trained_parameters().values():
            weight.normal_(0.0, 0.1, generator=generator)
    return student


TEXTS = [row.text or "" for row in make_rows(13)] + ["", "x " * 400]


def written(renderer: Renderer, form: Form, labels: tuple[str, ...]) -> tuple[int, ...]:
    """An answer as far as it is scored, put together by hand."""
    if form == "reasoned":
        return renderer.label_ids(form, labels)
    names = ", ".join(POLICY.by_code[code].name.lower() for code in labels) or "none"
    text, end = (names, [renderer.end_id]) if form == "direct" else (f"Classification: {names}\n", [])
    return (*renderer._tokens.encode(text, add_special_tokens=False).ids, *end)


@torch.no_grad()
def brute_force(
    student: Student, renderer: Renderer, prompt: tuple[int, ...], form: Form, max_labels: int
) -> tuple[list[float], float]:
    """Every answer scored by a full forward of its own."""
    total, none, named = 0.0, 0.0, dict.fromkeys(renderer.policy.codes, 0.0)
    for labels in label_sets(renderer.policy.codes, max_labels):
        answer = written(renderer, form, labels)
        logits = student.model(input_ids=torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
        at = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
        chance = sum(logits[place, token].item() for place, token in zip(at, answer, strict=True))
        total += np.exp(chance)
        none = np.exp(chance) if not labels else none
        for code in labels:
            named[code] += np.exp(chance)
    violation = total - none
    return [value / total for value in (*named.values(), violation)], total


@pytest.mark.parametrize("form", ["direct", "explained"])
@pytest.mark.parametrize(("max_labels", "budget"), [(1, 1), (2, 300), (3, 1024)])
def test_scores_equal_brute_force(
    student: Student, renderer: Renderer, form: Form, max_labels: int, budget: int
) -> None:
    student.scored_tokens = budget
    table = score(
        student,
        renderer,
        range(len(TEXTS)),
        TEXTS,
        form=form,
        max_labels=max_labels,
        max_length=MAX_LENGTH,
    )
    examples = prompts(renderer, TEXTS, form, answer_tree(renderer, form, max_labels), MAX_LENGTH)
    assert list(table["id"]) == list(range(len(TEXTS)))
    assert examples[-1].shortened
    for index, example in enumerate(examples):
        expected, mass = brute_force(student, renderer, example.ids, form, max_labels)
        got = table.loc[index, [*(f"p_{code}" for code in POLICY.codes), "any_violation"]].to_numpy(
            dtype=float
        )
        np.testing.assert_allclose(got, expected, atol=1e-4)
        assert table.loc[index, "valid_mass"] == pytest.approx(mass, rel=1e-3)


def test_reasoned_scores_equal_brute_force_after_the_written_reason(
    student: Student, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.reasons._REASON_TOKENS", 12)
    student.scored_tokens = 1024
    texts = TEXTS[:5]
    table = score(student, renderer, range(5), texts, form="reasoned", max_labels=2, max_length=MAX_LENGTH)
    examples = prompts(renderer, texts, "reasoned", answer_tree(renderer, "reasoned", 2), MAX_LENGTH)
    tails = write_reasons(student, renderer, examples, MAX_LENGTH)
    for index, (example, tail) in enumerate(zip(examples, tails, strict=True)):
        # Written one at a time and without padding, the reason is the same.
        prompt = torch.tensor([example.ids])
        alone = student.model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False
        )[0].tolist()
        assert (
            list(tail[: len(example) - len(example.prefix) + 3])
            == alone[len(example.prefix) : len(example) + 3]
        )
        assert renderer.decode(tail).endswith(CLASSIFICATION)
        expected, mass = brute_force(student, renderer, example.prefix + tail, "reasoned", 2)
        got = table.loc[index, [*(f"p_{code}" for code in POLICY.codes), "any_violation"]].to_numpy(
            dtype=float
        )
        np.testing.assert_allclose(got, expected, atol=1e-4)
        assert table.loc[index, "valid_mass"] == pytest.approx(mass, rel=1e-3)


def test_label_ids_are_how_an_answer_ends(renderer: Renderer) -> None:
    from training.prompt import Answer

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
    assert len(tree.tokens) == len(beginnings)
    assert all(first <= second for first, second in pairwise(tree.states.tolist()))
    assert tree.sees.diagonal().all()


def test_the_base_model_scores_otherwise(student: Student, renderer: Renderer) -> None:
    own = score(student, renderer, range(3), TEXTS[:3], max_labels=1, max_length=MAX_LENGTH)
    with student.base():
        base = score(student, renderer, range(3), TEXTS[:3], max_labels=1, max_length=MAX_LENGTH)
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
    assert len(score(student, renderer, [], [], max_labels=1, max_length=MAX_LENGTH)) == 0


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
