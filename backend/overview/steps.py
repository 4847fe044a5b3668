"""The six steps and the next sensible one: values in, values out."""

from __future__ import annotations

from dataclasses import replace

from backend.db.models.jobs import JobKind
from backend.evaluation.comparison import share_text
from backend.overview.views import Action, NextStep, Page, Standing, Step, StepState
from backend.text import things

_AT_WORK = {
    JobKind.TEACH: (Page.TEACHER, "The teacher is being asked.", "Watch it"),
    JobKind.TRAIN: (Page.TRAINING, "A student is being trained.", "Watch it"),
    JobKind.SCORE: (Page.EVALUATION, "Models are being scored.", "Watch it"),
}


def steps(standing: Standing) -> list[Step]:
    """The steps in the order in which the data goes, the next sensible one marked."""
    step = next_step(standing)
    name = _MARKED[step.page] if step.action is not Action.IMPORT else "Items"
    found = [_items(standing), _answers(standing), _reviewed(standing)]
    found += [_version(standing), _run(standing), _evaluation(standing)]
    return [replace(each, is_next=each.name == name) for each in found]


def next_step(standing: Standing) -> NextStep:
    """The next sensible step; the first of these that there is something to do about."""
    if standing.items == 0:
        return NextStep("No posts are here yet.", "Import posts", Action.IMPORT, Page.DATASET)
    for kind, (page, text, label) in _AT_WORK.items():
        if any(job.kind is kind for job in standing.active):
            return NextStep(text, label, Action.GO, page)
    if standing.answered == 0 and standing.reviewed == 0 and standing.version_number is None:
        text = f"{things(standing.items, 'post')} wait for a teacher's answer."
        return NextStep(text, "Ask the teacher", Action.GO, Page.TEACHER)
    if standing.differing_left or standing.sent_back_left:
        return NextStep(_to_check(standing), "Review them", Action.GO, Page.REVIEW)
    if standing.runs_done and standing.new_decisions:
        return NextStep(new_decisions(standing), "Retrain", Action.RETRAIN, Page.TRAINING)
    if standing.unverified_left and standing.reviewed == 0:
        text = f"{things(standing.unverified_left, 'answer')} that nobody has checked."
        return NextStep(text, "Review them", Action.GO, Page.REVIEW)
    return _after_review(standing)


def new_decisions(standing: Standing) -> str:
    """How many decisions the last run that finished does not know, in words."""
    are = "is" if standing.new_decisions == 1 else "are"
    return f"{things(standing.new_decisions, 'decision')} {are} new since run {standing.new_since}."


def _to_check(standing: Standing) -> str:
    said = []
    if standing.differing_left:
        disagree = "answer disagrees" if standing.differing_left == 1 else "answers disagree"
        said.append(f"{standing.differing_left:,} {disagree} with people's labels.")
    if standing.sent_back_left:
        were = "was" if standing.sent_back_left == 1 else "were"
        said.append(f"{things(standing.sent_back_left, 'post')} {were} sent back.")
    return " ".join(said)


def _after_review(standing: Standing) -> NextStep:
    if standing.version_number is None:
        text = "What was decided is ready to become a dataset version."
        return NextStep(text, "Build a version", Action.GO, Page.DATASET)
    if standing.run_failed or standing.run_stopped:
        ended = "failed" if standing.run_failed else "was stopped"
        text = f"Run {standing.run_number} {ended}. Its page says why, and how to go on."
        return NextStep(text, "Look at it", Action.GO, Page.TRAINING)
    if standing.runs_done == 0:
        text = f"Version {standing.version_number} is ready to be learned."
        return NextStep(text, "Train a student", Action.GO, Page.TRAINING)
    if not standing.run_champion:
        text = f"Run {standing.run_number} is not the champion. See whether it should be."
        return NextStep(text, "Compare", Action.GO, Page.EVALUATION)
    if standing.scratch_left:
        text = f"{things(standing.scratch_left, 'post')} without an answer can be judged from scratch."
        return NextStep(text, "Judge them", Action.GO, Page.REVIEW)
    text = "Everything is done. The posts that the student gets wrong are the next to look at."
    return NextStep(text, "See them", Action.GO, Page.EVALUATION)


_MARKED = {
    Page.TEACHER: "Answers",
    Page.REVIEW: "Reviewed",
    Page.DATASET: "Version",
    Page.TRAINING: "Run",
    Page.EVALUATION: "Evaluation",
}


def _items(standing: Standing) -> Step:
    if standing.items == 0:
        return Step("Items", "0", "none imported yet", StepState.EMPTY, Page.DATASET)
    detail = f"{standing.training:,} to train on"
    return Step("Items", f"{standing.items:,}", detail, StepState.DONE, Page.DATASET)


def _answers(standing: Standing) -> Step:
    detail = f"{standing.differing:,} wrong" if standing.differing else "none wrong"
    if standing.invalid:
        detail += f" · {standing.invalid:,} unreadable"
    if standing.unanswered:
        detail += f" · {standing.unanswered:,} unanswered"
    if standing.answered == 0:
        detail = "not asked yet"
    state = _state(standing, JobKind.TEACH, begun=standing.answered > 0)
    if state is StepState.DONE and standing.unanswered:
        state = StepState.OPEN
    return Step("Answers", f"{standing.answered:,}", detail, state, Page.TEACHER)


def _reviewed(standing: Standing) -> Step:
    left = standing.differing_left + standing.sent_back_left
    detail = f"{left:,} to check" if left else "nothing differs"
    if not left and standing.unverified_left:
        detail = f"{standing.unverified_left:,} unchecked"
    if standing.answered == 0:
        detail = f"{standing.scratch_left:,} to judge" if standing.scratch_left else "–"
    open_ = bool(left or standing.unverified_left)
    begun = standing.reviewed > 0 or (standing.answered > 0 and not open_)
    state = StepState.OPEN if open_ else StepState.DONE if begun else StepState.EMPTY
    return Step("Reviewed", f"{standing.reviewed:,}", detail, state, Page.REVIEW)


def _version(standing: Standing) -> Step:
    if standing.version_number is None:
        return Step("Version", "–", "not built yet", StepState.EMPTY, Page.DATASET)
    rows = things(standing.version_rows, "row")
    return Step("Version", str(standing.version_number), rows, StepState.DONE, Page.DATASET)


def _run(standing: Standing) -> Step:
    state = _state(standing, JobKind.TRAIN, begun=standing.runs_done > 0)
    if standing.run_number is None:
        return Step("Run", "–", "not trained yet", state, Page.TRAINING)
    detail = "champion" if standing.run_champion else "trained"
    if standing.run_failed or standing.run_stopped:
        detail, state = ("failed" if standing.run_failed else "stopped"), StepState.OPEN
    if state is StepState.RUNNING:
        detail = "training"
    return Step("Run", str(standing.run_number), detail, state, Page.TRAINING)


def _evaluation(standing: Standing) -> Step:
    state = _state(standing, JobKind.SCORE, begun=standing.champion_f1 is not None)
    if standing.champion_f1 is None:
        return Step("Evaluation", "–", "nothing scored yet", state, Page.EVALUATION)
    detail = "base model's F1"
    if standing.base_f1 is not None:
        gain = standing.champion_f1 - standing.base_f1
        detail = f"{changed(gain)} to the base"
    return Step("Evaluation", share_text(standing.champion_f1), detail, state, Page.EVALUATION)


def changed(gain: float) -> str:
    """A difference with its direction: "▲ +.06", "▼ −.02", "±.00"."""
    rounded = round(gain, 2)
    arrow = "▲ " if rounded > 0 else "▼ " if rounded < 0 else ""
    return arrow + share_text(gain, signed=True)


def _state(standing: Standing, kind: JobKind, *, begun: bool) -> StepState:
    if any(job.kind is kind for job in standing.active):
        return StepState.RUNNING
    return StepState.DONE if begun else StepState.EMPTY
