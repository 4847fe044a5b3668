from __future__ import annotations

from dataclasses import replace

import pytest

from backend.db.models import Job
from backend.db.models.jobs import JobKind
from backend.overview.steps import new_decisions, next_step, steps
from backend.overview.views import Action, Page, Standing, StepState

IMPORTED = Standing(items=400, training=240, test=100)
ANSWERED = replace(IMPORTED, answered=400, differing=79, differing_left=79)
REVIEWED = replace(ANSWERED, differing=0, differing_left=0, reviewed=79)
BUILT = replace(REVIEWED, version_number=1, version_rows=300)
TRAINED = replace(BUILT, run_number=1, runs_done=1, champion_f1=0.65)
PROMOTED = replace(TRAINED, run_champion=True, champion_f1=0.71, base_f1=0.65)


@pytest.mark.parametrize(
    ("standing", "action", "page"),
    [
        (Standing(), Action.IMPORT, Page.DATASET),
        (IMPORTED, Action.GO, Page.TEACHER),
        (ANSWERED, Action.GO, Page.REVIEW),
        (REVIEWED, Action.GO, Page.DATASET),
        (BUILT, Action.GO, Page.TRAINING),
        (replace(BUILT, run_number=1, run_failed=True), Action.GO, Page.TRAINING),
        (TRAINED, Action.GO, Page.EVALUATION),
        (replace(PROMOTED, new_decisions=41), Action.RETRAIN, Page.TRAINING),
        (replace(PROMOTED, new_decisions=41, differing_left=3), Action.GO, Page.REVIEW),
        (replace(PROMOTED, scratch_left=5), Action.GO, Page.REVIEW),
        (replace(PROMOTED, new_decisions=41, sent_back_left=1), Action.GO, Page.REVIEW),
        (PROMOTED, Action.GO, Page.EVALUATION),
        (replace(IMPORTED, answered=9, unverified=9, unverified_left=9), Action.GO, Page.REVIEW),
        (replace(ANSWERED, active=(Job(kind=JobKind.TEACH),)), Action.GO, Page.TEACHER),
        (replace(ANSWERED, active=(Job(kind=JobKind.TRAIN),)), Action.GO, Page.TRAINING),
    ],
)
def test_the_next_sensible_step(standing: Standing, action: Action, page: Page) -> None:
    step = next_step(standing)
    assert (step.action, step.page) == (action, page)


@pytest.mark.parametrize("standing", [Standing(), IMPORTED, ANSWERED, REVIEWED, BUILT, TRAINED, PROMOTED])
def test_exactly_one_of_six_steps_is_next(standing: Standing) -> None:
    found = steps(standing)
    assert [step.name for step in found] == ["Items", "Answers", "Reviewed", "Version", "Run", "Evaluation"]
    assert sum(step.is_next for step in found) == 1


def test_steps_say_figure_detail_and_state() -> None:
    said = {
        step.name: (step.figure, step.detail, step.state) for step in steps(replace(PROMOTED, differing=79))
    }
    assert said == {
        "Items": ("400", "240 to train on", StepState.DONE),
        "Answers": ("400", "79 wrong", StepState.DONE),
        "Reviewed": ("79", "nothing differs", StepState.DONE),
        "Version": ("1", "300 rows", StepState.DONE),
        "Run": ("1", "champion", StepState.DONE),
        "Evaluation": (".71", "▲ +.06 to the base", StepState.DONE),
    }


def test_a_failed_run_is_open_and_one_at_work_is_running() -> None:
    failed = replace(BUILT, run_number=2, run_failed=True)
    assert steps(failed)[4].state is StepState.OPEN
    assert steps(failed)[4].detail == "failed"
    running = replace(BUILT, run_number=2, active=(Job(kind=JobKind.TRAIN),))
    assert steps(running)[4].state is StepState.RUNNING


def test_new_decisions_in_words() -> None:
    failed = Standing(new_decisions=1, run_number=3, run_failed=True, new_since=2)
    assert new_decisions(failed) == "1 decision is new since run 2."
    assert new_decisions(replace(failed, new_decisions=4100)) == "4,100 decisions are new since run 2."


def test_posts_sent_back_are_told_apart_from_answers_that_disagree() -> None:
    assert next_step(replace(ANSWERED, differing_left=1)).text == "1 answer disagrees with people's labels."
    both = replace(ANSWERED, differing_left=2, sent_back_left=1)
    assert next_step(both).text == "2 answers disagree with people's labels. 1 post was sent back."
    assert steps(both)[2].detail == "3 to check"
    back = next_step(replace(REVIEWED, sent_back_left=2))
    assert (back.text, back.page) == ("2 posts were sent back.", Page.REVIEW)


def test_answers_are_not_done_while_a_post_has_none() -> None:
    step = steps(replace(ANSWERED, answered=398, unanswered=2))[1]
    assert (step.figure, step.detail, step.state) == ("398", "79 wrong · 2 unanswered", StepState.OPEN)
