"""One post with everything that happened to it, in words and times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import streamlit as st
from markupsafe import Markup

from backend.curation.service import CurationService
from backend.curation.views import AnswerEntry, ItemHistory, JudgementEntry, RunEntry, VersionEntry
from backend.db.engine import get_database
from backend.db.models.review import Source, Verdict
from backend.review.marks import spans
from ui.components import errors, labels, numbers, outcomes, session, text, words
from ui.components.labels import Looks

_WHOSE = {
    "teacher": "the teacher's labels",
    "recheck": "the recheck's labels",
    "people": "people's labels",
}
_ENTRY = Markup('<li><time>{}</time><div class="ov-what"><div>{}</div>{}</div></li>')
_LIST = Markup('<ol class="ov-history">{}</ol>')
_PROSE = Markup('<div class="ov-prose" dir="auto">{}</div>')
_QUOTES = Markup('<div class="ov-small ov-faint">quotes {}</div>')
_FAINT = Markup('<span class="ov-faint">{}</span>')


@st.dialog("Post", width="medium")
def show(item_id: int) -> None:
    """Open the post."""
    with errors.shown():
        with get_database().read() as found:
            history = CurationService(found).history(item_id)
            looks = labels.load(found, session.project_id())
        chosen = session.project()
        text.show(
            text.post(
                history.text, spans(history.text, _quotes(history)), blur=chosen is not None and chosen.blur
            )
        )
        text.show(_about(history))
        text.show(_LIST.format(Markup("").join(_entries(history, looks))))
        outcomes.send_button(item_id, waits=history.waits)


def _quotes(history: ItemHistory) -> tuple[str, ...]:
    """What the decision quotes from the post, else what the newest answer does."""
    said = [entry.harmful for entry in history.judgements if entry.stands]
    said += [entry.harmful for entry in reversed(history.answers)]
    return next((harmful for harmful in said if harmful), ())


def _about(history: ItemHistory) -> Markup:
    facts = [f"{words.SPLITS[history.split]} post", history.external_id]
    facts += [f"source: {history.source}"] if history.source else []
    facts += [f"{name}: {_plain(value)}" for name, value in history.meta.items()]
    facts += ["also in an evaluation set, so never trained on"] if history.held_out else []
    return Markup('<div class="ov-faint ov-small">{}</div>').format(
        Markup(" · ").join(text.literal(fact) for fact in facts)
    )


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def _entries(history: ItemHistory, looks: Looks) -> Iterator[Markup]:
    yield _imported(history)
    happened: list[tuple[datetime, Markup]] = [(entry.at, _answer(entry, looks)) for entry in history.answers]
    happened += [(entry.at, _judgement(entry, looks)) for entry in history.judgements]
    yield from (entry for _, entry in sorted(happened, key=lambda pair: pair[0]))
    if history.versions:
        yield _ENTRY.format(
            "", "Taught in", Markup("").join(_version(entry, looks) for entry in history.versions)
        )
    if history.runs:
        yield _ENTRY.format("", Markup("Used for {}").format(_runs(history.runs)), "")


def _imported(history: ItemHistory) -> Markup:
    if history.imported is None:
        return _ENTRY.format(numbers.stamp(history.created_at), "Added", "")
    said = Markup("Imported from <b>{}</b> by {}").format(
        text.literal(history.imported.file_name), text.literal(history.imported.person)
    )
    return _ENTRY.format(numbers.stamp(history.imported.at), said, "")


def _answer(entry: AnswerEntry, looks: Looks) -> Markup:
    who = text.literal(entry.model)
    if entry.labels is None:
        why = text.literal(entry.error or "it could not be read")
        said = Markup("The teacher {} gave an unreadable answer: {}").format(who, why)
        return _ENTRY.format(numbers.stamp(entry.at), said, _PROSE.format(text.literal(entry.raw[:2000])))
    verb = "said, asked once more," if entry.round else "said"
    said = Markup("The teacher {} {} {}").format(who, verb, looks.chips(entry.labels))
    return _ENTRY.format(numbers.stamp(entry.at), said, _reason(entry.analysis, entry.harmful))


def _judgement(entry: JudgementEntry, looks: Looks) -> Markup:
    stands = Markup(' <span class="ov-tag">stands</span>') if entry.stands else Markup("")
    taken = _FAINT.format(" (taken back)") if entry.withdrawn else Markup("")
    said = Markup("{} {}{}{}").format(_who(entry), _labels(entry, looks), taken, stands)
    return _ENTRY.format(numbers.stamp(entry.at), said, _reason(entry.reason or "", entry.harmful))


def _who(entry: JudgementEntry) -> Markup:
    person = text.literal(entry.person)
    if entry.source is Source.GOLD:
        return Markup("Label that came with the post:")
    verb = {
        Verdict.RIGHT: "says the teacher is right:",
        Verdict.WRONG_LABELS: "corrected the labels:",
        Verdict.BAD_REASON: "kept the labels and mended the reason:",
        Verdict.CANNOT_TELL: "could not tell",
        Verdict.DISCARD: "discarded the post",
        Verdict.FROM_SCRATCH: "judged from scratch:",
        Verdict.WITHDRAWN: "took a judgement back",
        None: "judged:",
    }[entry.verdict]
    return Markup("<b>{}</b> {}").format(person, verb)


def _labels(entry: JudgementEntry, looks: Looks) -> Markup:
    return Markup("") if entry.labels is None else looks.chips(entry.labels)


def _reason(reason: str, harmful: tuple[str, ...]) -> Markup:
    prose = _PROSE.format(text.literal(reason)) if reason.strip() else Markup("")
    quotes = (
        Markup('<div class="ov-small ov-faint">quotes {}</div>').format(text.quoted(harmful))
        if harmful
        else ""
    )
    return prose + quotes


def _version(entry: VersionEntry, looks: Looks) -> Markup:
    form = "with a reason" if entry.reasoned else "labels only"
    return Markup('<div>version {} ({}) as {} <span class="ov-faint">{}, {}</span></div>').format(
        entry.number,
        words.handling(entry.handling),
        looks.chips(entry.labels),
        _WHOSE.get(entry.origin, entry.origin),
        form,
    )


def _runs(runs: list[RunEntry]) -> Markup:
    return Markup(", ").join(
        Markup("<b>run {}</b> {}").format(run.number, _FAINT.format(f"(version {run.version_number})"))
        for run in runs
    )
