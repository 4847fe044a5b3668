"""The state of one reviewer's desk: which queue, which post, and what is being written on it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import streamlit as st
from sqlalchemy.orm import Session

from backend.db.engine import get_database
from backend.db.models.content import Queue
from backend.db.models.review import Verdict
from backend.review.marks import compose_reason, spans
from backend.review.service import ReviewService
from backend.review.views import ReviewItem
from backend.settings import get_settings
from ui.components import errors, session
from ui.components.labels import Looks

_DRAFTS, _OPEN = "review drafts", "review draft that is open"
_QUEUE, _SAVED, _NOTICE = "review queue", "review saved", "review notice"
_SAVE = "review save asked for"
_SWITCHED, _MOVED, _MOVES = "review queue switched", "review queue moved", "review queue moves"


class Mode(StrEnum):
    """What is being written."""

    LABELS = "labels"  # the teacher's labels are wrong, or there are none
    REASON = "reason"  # its reason is bad


@dataclass(slots=True)
class Draft:
    """A decision that is being written. It is kept here, since a widget forgets what is not drawn.

    Attributes:
        labels: the codes chosen; None until something is, since "no violation" is a choice too.
        quotes: the passages quoted; None until the person changes the teacher's.
        teachers_words: the reason starts from the teacher's prose instead of being composed.
        words: what the person wrote in the reason, which is theirs from then on; None until they do.
        offered: the reasons that were put into the field for them.
    """

    mode: Mode
    labels: tuple[str, ...] | None = None
    quotes: tuple[str, ...] | None = None
    teachers_words: bool = False
    words: str | None = None
    offered: set[str] = field(default_factory=set)

    def keeps_labels(self, item: ReviewItem) -> bool:
        """Whether the labels chosen are the teacher's."""
        if self.labels is None or item.answer is None:
            return False
        return set(self.labels) == set(item.answer.labels)


def key(name: str, item: ReviewItem) -> str:
    """A button's key on this very post.

    A key that is pressed twice in a hurry then means the post that was seen, never the one
    that comes after it.
    """
    return f"{name}-{item.id}"


def service(database: Session, browser: str) -> ReviewService:
    """Review for this person in this browser."""
    return ReviewService(
        database, person=session.person(), browser=browser, lease_minutes=get_settings().lease_minutes
    )


def queue() -> Queue:
    """The queue that was chosen."""
    return Queue(st.session_state.get(_QUEUE) or Queue.TEACHER)


def queue_key() -> str:
    """The key of the widget that chooses the queue.

    The desk can move to another queue without the widget; it then gets another key, since
    Streamlit would hold the widget's own value against what the desk says.
    """
    return f"review queue chooser {st.session_state.get(_MOVES, 0)}"


def switch() -> None:
    """Another queue was chosen."""
    _turn_to(Queue(st.session_state[queue_key()]))


def _turn_to(wanted: Queue) -> None:
    leave()
    st.session_state[_QUEUE] = wanted
    st.session_state[_SWITCHED] = time.time_ns()


def show(wanted: Queue) -> None:
    """Move to a queue from inside the desk, which the chooser stands outside of."""
    if wanted is not queue():
        _turn_to(wanted)
        st.session_state[_MOVES] = st.session_state.get(_MOVES, 0) + 1
        st.session_state[_MOVED] = True


def take_moved() -> bool:
    """Whether the whole page is to be drawn again, for the chooser to show the queue; once."""
    return bool(st.session_state.pop(_MOVED, False))


def take_switched() -> int | None:
    """When another queue was chosen, once."""
    switched: int | None = st.session_state.pop(_SWITCHED, None)
    return switched


def saved_at() -> datetime | None:
    """When the last decision of this session was stored."""
    return st.session_state.get(_SAVED)


def take_notice() -> str | None:
    """What the last action has to say, once."""
    notice: str | None = st.session_state.pop(_NOTICE, None)
    return notice


def draft(item: ReviewItem) -> Draft | None:
    """What is being written on this post. Without an answer to judge, writing is all there is."""
    if item.answer is None:
        begin(item, Mode.LABELS)
    opened: tuple[int, Mode] | None = st.session_state.get(_OPEN)
    return _drafts()[opened] if opened is not None and opened[0] == item.id else None


def begin(item: ReviewItem, mode: Mode) -> None:
    """Open the editor, with what was left in it on this post.

    A bad reason is mended from the teacher's words, for the teacher's labels.
    """
    new = Draft(mode)
    if mode is Mode.REASON and item.answer is not None:
        new.labels, new.teachers_words = item.answer.labels, True
    _drafts().setdefault((item.id, mode), new)
    st.session_state[_OPEN] = item.id, mode


def leave() -> None:
    """Close the editor. Its draft is kept until the post is decided."""
    st.session_state.pop(_OPEN, None)


def go_back(item: ReviewItem) -> None:
    """Close the editor without saving, and say where the words are that were written in it."""
    current = draft(item)
    leave()
    if current is not None and current.words is not None:
        key = "E" if current.mode is Mode.REASON else "W"
        st.session_state[_NOTICE] = f"Not saved. {key} brings your words back."


def _drafts() -> dict[tuple[int, Mode], Draft]:
    kept: dict[tuple[int, Mode], Draft] = st.session_state.setdefault(_DRAFTS, {})
    return kept


def _forget(item: ReviewItem) -> None:
    for mode in Mode:
        _drafts().pop((item.id, mode), None)


def toggle(item: ReviewItem, code: str) -> None:
    """Choose a category, or take it back."""
    current = draft(item)
    if current is not None:
        chosen = current.labels or ()
        left = tuple(each for each in chosen if each != code)
        _choose(item, current, (left or None) if code in chosen else (*chosen, code))


def choose_none(item: ReviewItem) -> None:
    """Choose that no rule is broken."""
    current = draft(item)
    if current is not None:
        _choose(item, current, ())


def _choose(item: ReviewItem, current: Draft, chosen: tuple[str, ...] | None) -> None:
    current.labels = chosen
    if current.mode is Mode.REASON:
        # The teacher's prose argues for its own labels.
        current.teachers_words = current.keeps_labels(item)


def swap_words(item: ReviewItem) -> None:
    """Bring the teacher's prose back into the reason, or compose it anew."""
    current = draft(item)
    if current is not None:
        current.teachers_words = not current.teachers_words
        current.words = None


def mark_edited(item: ReviewItem) -> None:
    """The reason was changed: by hand, unless the browser gives back what it was offered before.

    It does so where another key was pressed before the newly composed reason had arrived.
    """
    current = draft(item)
    if current is not None:
        words = str(st.session_state[reason_key(item, current)])
        current.words = None if words in current.offered else words


def keep_quotes(item: ReviewItem) -> None:
    """The quoted passages were changed."""
    current = draft(item)
    if current is not None:
        current.quotes = tuple(st.session_state[quotes_key(item)])


def quotes(item: ReviewItem) -> list[str]:
    """The teacher's quotes that do stand in the post."""
    return [quote for quote in (item.answer.harmful if item.answer else ()) if spans(item.text, [quote])]


def quotes_key(item: ReviewItem) -> str:
    """The key of the field with the quotes."""
    return f"quotes-{item.id}"


def reason_key(item: ReviewItem, current: Draft) -> str:
    """The key of the field with the reason."""
    return f"reason-{item.id}-{current.mode}"


def quoted(item: ReviewItem, current: Draft) -> tuple[str, ...]:
    """The passages that are quoted now; none where no rule is broken."""
    if not current.labels:
        return ()
    return tuple(quotes(item)) if current.quotes is None else current.quotes


def reason(item: ReviewItem, current: Draft, looks: Looks) -> str:
    """The reason as it stands: the person's, or the teacher's words, or composed from quote and rule."""
    if current.words is not None:
        return current.words
    if current.teachers_words and item.answer is not None:
        return item.answer.analysis
    named = current.labels or ()
    chosen = [code for code in looks.current if code in named]
    rule = "; ".join(looks.rule(code).rstrip(".") for code in chosen if looks.rule(code))
    names = [looks.name(code) for code in chosen]
    return compose_reason(names, " … ".join(quoted(item, current)), rule)


def offer(item: ReviewItem, current: Draft, looks: Looks) -> str:
    """The reason for the field that it is written in."""
    offered = reason(item, current, looks)
    if current.words is None:
        # A browser's field knows one kind of line end.
        offered = "\n".join(offered.splitlines())
        current.offered.add(offered)
    return offered


def ask_to_save(item: ReviewItem) -> None:
    """Save what is being written, as soon as every key that was pressed has been heard.

    Keys that come while the page is at work arrive together and in no order: a label chosen
    just before saving would else be missing from what is saved.
    """
    st.session_state[_SAVE] = item.id


def save(item: ReviewItem, looks: Looks) -> bool:
    """Store the draft if that was asked for; true if it was stored."""
    current, browser = draft(item), session.browser_id()
    if st.session_state.get(_SAVE) != item.id or current is None:
        return False
    if current.labels is None:
        del st.session_state[_SAVE]
        st.session_state[_NOTICE] = "Choose the labels first."
        return False
    verdict, parts = _written(item, current, looks)
    stored = _store(item, verdict, browser, **parts)
    # Only now: until it is stored, a run that is broken off leaves the wish to the next one.
    st.session_state.pop(_SAVE, None)
    return stored


def _written(item: ReviewItem, current: Draft, looks: Looks) -> tuple[Verdict, dict[str, Any]]:
    parts: dict[str, Any] = {"harmful": quoted(item, current), "reason": reason(item, current, looks)}
    if current.mode is Mode.REASON and current.keeps_labels(item):
        return Verdict.BAD_REASON, parts
    verdict = Verdict.FROM_SCRATCH if item.answer is None else Verdict.WRONG_LABELS
    return verdict, {"labels": current.labels, **parts}


def decide(item: ReviewItem, verdict: Verdict, browser: str) -> None:
    """Store a verdict that needs nothing more."""
    _store(item, verdict, browser)


def _store(item: ReviewItem, verdict: Verdict, browser: str, **parts: Any) -> bool:
    """Store a decision in a transaction of its own; the editor closes only if it was stored.

    Streamlit breaks a run off where it touches the session's state, for one that was asked for
    meanwhile. So nothing here touches it before the decision is in the database.
    """
    with errors.kept():
        with get_database().write() as database:
            answer_id = item.answer.id if item.answer else None
            saved = service(database, browser).decide(item.id, verdict, answer_id=answer_id, **parts)
        st.session_state[_SAVED] = saved.at
        _forget(item)
        leave()
        return True
    return False


def undo(project_id: int, browser: str) -> None:
    """Take back the last decision and show its post again."""
    with errors.kept():
        with get_database().write() as database:
            undone = service(database, browser).undo(project_id)
        leave()
        if undone is None:
            st.session_state[_NOTICE] = "There is nothing of yours to take back."
            return
        show(undone.queue)
        st.session_state[_NOTICE] = "Taken back."


def covered(item: ReviewItem) -> bool:
    """Whether this post is covered until someone looks."""
    chosen = session.project()
    return bool(st.session_state.get(f"covered {item.id}", chosen is not None and chosen.blur))


def cover(item: ReviewItem) -> None:
    """Cover the post, or uncover it."""
    st.session_state[f"covered {item.id}"] = not covered(item)
