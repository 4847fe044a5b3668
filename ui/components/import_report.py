"""What became of a file, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from backend.db.models.content import Split
from backend.intake.reports import AnswerReport, ImportReport, Rejected, SetReport
from ui.components.numbers import count, things

Report = ImportReport | AnswerReport | SetReport

_SPLITS = {Split.TRAIN: "to train on", Split.VALIDATION: "to validate", Split.TEST: "to test"}


def sentences(report: Report) -> list[str]:
    """The outcome first, then what is worth knowing."""
    if isinstance(report, ImportReport):
        return [_posts(report), *_posts_more(report)]
    if isinstance(report, AnswerReport):
        return [_answers(report), *_answers_more(report)]
    return [_set(report), *_set_more(report)]


def rejected(report: Report) -> tuple[Sequence[Rejected], int]:
    """The rows that were left out, the first of them one by one, and how many there are."""
    return report.rejected, report.rejected_count


def _posts(report: ImportReport) -> str:
    if not report.changed:
        return f"Nothing new: {_all(report.rows)} {'is' if report.rows == 1 else 'are'} here already."
    what = [f"{things(report.added, 'post')} added"]
    if report.updated:
        what.append(f"{count(report.updated)} updated")
    splits = [
        f"{count(report.splits[split])} {word}" for split, word in _SPLITS.items() if report.splits.get(split)
    ]
    return _sentence(what) + (f" {_sentence(splits)}" if splits else "")


def _posts_more(report: ImportReport) -> Iterable[str]:
    if report.project_created:
        yield f"The project {report.project} was made, with a first policy drawn from the labels."
    if report.new_categories and not report.project_created:
        yield f"The policy has new categories: {', '.join(report.new_categories)}."
    if report.none_label is not None:
        guessed = ", as its name suggests" if report.none_guessed else ""
        yield f"The label “{report.none_label}” means no violation{guessed}."
    for number, one, many in (
        (report.unchanged if report.changed else 0, "was known already", "were known already"),
        (
            report.duplicates,
            "says the same as another post and became one with it",
            "say the same as another post and became one with it",
        ),
        (
            report.conflicting,
            "of them has another label than the one that stands",
            "of them have another label than the one that stands",
        ),
        (
            report.held_out,
            "stands in an evaluation set and is kept out of training",
            "stand in an evaluation set and are kept out of training",
        ),
        (report.split_kept, "keeps the split that it had", "keep the split that they had"),
    ):
        if number:
            yield f"{count(number)} {one if number == 1 else many}."
    yield from _unknown(report.unknown_labels)
    if report.answers is not None and (report.answers.changed or report.answers.rows):
        yield _answers(report.answers)


def _answers(report: AnswerReport) -> str:
    if not report.changed:
        return "Nothing new: all of the teacher's answers are here already."
    what = [f"{things(report.added, 'answer')} of the teacher added"]
    if report.updated:
        what.append(f"{count(report.updated)} replaced")
    if report.rechecked:
        what.append(f"{count(report.rechecked)} with a recheck")
    if report.invalid:
        what.append(f"{count(report.invalid)} that cannot be read")
    return _sentence(what)


def _answers_more(report: AnswerReport) -> Iterable[str]:
    if report.unchanged and report.changed:
        yield f"{count(report.unchanged)} were known already."
    if report.unknown:
        yield f"{count(report.unknown)} belong to posts that the project does not have."


def _set(report: SetReport) -> str:
    if report.updated:
        return f"The set {report.name} holds these posts already; what is known of it was noted."
    if not report.created:
        return f"Nothing new: the set {report.name} holds these posts already."
    posts = things(report.rows, "post")
    violations = f"{count(report.positive)} of them violations"
    return f"The set {report.name} (version {report.number}) has {posts}, {violations}."


def _set_more(report: SetReport) -> Iterable[str]:
    if report.one_sided:
        yield report.one_sided
    if report.label_map:
        yield f"{_listed(report.label_map)}."
    if report.unmapped:
        yield f"No model is judged on {', '.join(report.unmapped)}: it stands for no category."
    if report.not_grouped:
        yield f"Figures are not given by {report.not_grouped}: it has one value, or far too many."
    elif report.group_by:
        yield f"Figures are also given by {report.group_by}, in {things(report.groups, 'group')}."
    if report.held_out:
        yield f"{count(report.held_out)} of the project's posts stand in it and are kept out of training."
    if report.duplicates:
        yield f"{count(report.duplicates)} say the same as another post."
    yield from _unknown(report.unknown_labels)


def _listed(label_map: Mapping[str, str]) -> str:
    """Each label with the categories that it stands for: "hateful" stands for threats, insults."""
    codes: dict[str, list[str]] = {}
    for code, label in label_map.items():
        codes.setdefault(label, []).append(code)
    return "; ".join(f"“{label}” stands for {', '.join(these)}" for label, these in codes.items())


def _unknown(labels: Mapping[str, int]) -> Iterable[str]:
    if labels:
        named = ", ".join(f"{label} ({count(number)})" for label, number in labels.items())
        yield f"The policy does not know these labels: {named}. Their posts come in when you add them."


def _all(rows: int) -> str:
    return "the one row" if rows == 1 else f"all {count(rows)} rows"


def _sentence(parts: Sequence[str]) -> str:
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
