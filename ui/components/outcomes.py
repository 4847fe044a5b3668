"""The posts behind an evaluation, each with what people and models said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st
from markupsafe import Markup
from sqlalchemy.orm import Session

from backend.db.engine import get_database
from backend.evaluation.naming import in_a_sentence
from backend.evaluation.results import Comparison, PostKind, PostPage, PostRow, Report
from backend.evaluation.results_service import ResultsService
from backend.evaluation.sending import Sent, send_item, send_to_review, sendable, would_send
from backend.review.service import ReviewService
from backend.settings import get_settings
from backend.text import things
from ui.components import errors, session, text
from ui.components.labels import Looks, none_chip
from ui.components.pager import pager

_SIZE = 20
_SAID = Markup('<div class="ov-said"><span class="ov-faint">{}</span><span>{}</span></div>')
_POST = Markup('<div class="ov-outcome"><div class="ov-clamped">{}</div><div class="ov-saids">{}</div></div>')
_UNREAD = Markup('<span class="ov-faint">an answer that could not be read</span>')


def draw(reports: Sequence[Report], compared: Comparison | None, looks: Looks) -> None:
    """Let people choose which posts to see, and list them.

    Args:
        reports: one model, or two of which the first is looked at.
        compared: the two beside each other.
        looks: of the project's categories.
    """
    st.markdown("#### Posts", anchors=False)
    kinds = _kinds(reports, compared)
    kind = st.segmented_control(
        "Which posts",
        list(kinds),
        default=next(iter(kinds)),
        format_func=lambda each: kinds[each],
        key=f"posts-{'-'.join(str(report.evaluation_id) for report in reports)}",
        label_visibility="collapsed",
        required=True,
    )
    if kind is None:
        return
    other = reports[1] if len(reports) == 2 else None
    place = pager(f"posts-{reports[0].evaluation_id}-{other.evaluation_id if other else 0}-{kind.value}")
    with get_database().read() as found:
        posts = ResultsService(found).posts(
            reports[0].evaluation_id,
            kind=kind,
            other_id=other.evaluation_id if other else None,
            after=place.after or 0,
            limit=_SIZE,
        )
    if not posts.rows:
        st.caption("There is no such post.")
        return
    if any(row.item_id for row in posts.rows):
        _sending(reports, kind)
    else:
        st.caption("These posts are in the evaluation set only, so there is nothing to send to review.")
    _list(posts, reports, looks)
    place.buttons(posts.next_after)


def _kinds(reports: Sequence[Report], compared: Comparison | None) -> dict[PostKind, str]:
    name = text.label(reports[0].name)
    # Beside another model it has to be said whose they are.
    whose = "" if compared is None else f"{name}: "
    words = {
        PostKind.WRONG: f"{name} is wrong",
        PostKind.FALSE_ALARM: f"{whose}False alarms",
        PostKind.MISSED: f"{whose}Missed",
        PostKind.OTHER_LABELS: f"{whose}Other categories",
    }
    if reports[0].yes_no:
        del words[PostKind.OTHER_LABELS]
    with get_database().read() as found:
        counts = ResultsService(found).post_counts(reports[0].evaluation_id)
    alone = {kind: f"{said} · {counts[kind]:,}" for kind, said in words.items()}
    if compared is None:
        return alone
    beside = {
        PostKind.ONLY_RIGHT_HERE: f"Only {_inside(reports[0])} is right · {compared.only_a_right:,}",
        PostKind.ONLY_RIGHT_THERE: f"Only {_inside(reports[1])} is right · {compared.only_b_right:,}",
        PostKind.DIFFER: f"They differ · {compared.only_a_right + compared.only_b_right:,}",
        PostKind.BOTH_WRONG: f"Both wrong · {compared.neither_right:,}",
    }
    return beside | alone


def _inside(report: Report) -> str:
    return text.label(in_a_sentence(report.name, report.kind))


def _list(posts: PostPage, reports: Sequence[Report], looks: Looks) -> None:
    chosen = session.project()
    blur = chosen is not None and chosen.blur
    for row in posts.rows:
        with st.container(key=f"ov-post-{reports[0].evaluation_id}-{row.row_id}"):
            post, step = st.columns((5, 1), vertical_alignment="center")
            with post:
                text.show(_POST.format(text.post(row.text, blur=blur), _said(row, reports, looks)))
            if row.item_id is not None:
                with step.container(horizontal_alignment="right"):
                    _button(str(row.row_id), row.waits, _send_posts, (_ids(reports), (row.row_id,)))


def _said(row: PostRow, reports: Sequence[Report], looks: Looks) -> Markup:
    yes_no = reports[0].yes_no
    lines = [("People", _chips(row.labels, row.positive, yes_no, looks))]
    lines.append(
        (reports[0].name, _UNREAD if row.unread else _chips(row.predicted, row.flagged, yes_no, looks))
    )
    if len(reports) == 2:
        said = (
            Markup('<span class="ov-faint">–</span>')
            if row.other_predicted is None
            else _UNREAD
            if row.other_unread
            else _chips(row.other_predicted, bool(row.other_flagged), yes_no, looks)
        )
        lines.append((reports[1].name, said))
    return Markup("").join(_SAID.format(name, said) for name, said in lines)


def _chips(codes: Sequence[str], flagged: bool, yes_no: bool, looks: Looks) -> Markup:
    if not yes_no:
        return looks.chips(codes)
    return Markup('<span class="ov-chip ov-cx">violation</span>') if flagged else none_chip()


def _ids(reports: Sequence[Report]) -> tuple[int, ...]:
    return tuple(report.evaluation_id for report in reports)


def _sending(reports: Sequence[Report], kind: PostKind) -> None:
    """What sending a post means, and the button that sends all of a kind."""
    evaluation_ids = _ids(reports)
    with get_database().read() as found:
        row_ids = ResultsService(found).post_ids(
            evaluation_ids[0], kind=kind, other_id=evaluation_ids[1] if len(reports) == 2 else None
        )
        posts = sendable(found, evaluation_ids, row_ids)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"Each post that a model got wrong takes along to review a random one that {_got(len(reports))} "
            "right: labels corrected only where a model is wrong would tilt the test towards it.",
            width="stretch",
        )
        if posts > 1 and st.button(f"Send all {posts:,} to review", icon=":material/undo:", key="send-all"):
            _confirm(evaluation_ids, tuple(row_ids))


def _got(models: int) -> str:
    return "it got" if models == 1 else "both got"


@st.dialog("Send them to review?", icon=":material/undo:")
def _confirm(evaluation_ids: Sequence[int], row_ids: Sequence[int]) -> None:
    with get_database().read() as found:
        sent = would_send(found, evaluation_ids, row_ids)
    got = _got(len(evaluation_ids))
    said = f"**{things(len(sent.item_ids), 'post')}** go before all others into the review queue"
    if sent.right:
        along = f"{things(sent.right, 'random one')} that {got} right"
        said += f", and with them {along}, lest the test tilt towards a model"
    st.markdown(f"{said}.")
    if sent.right < sent.wrong:
        st.caption(
            f"A random one that {got} right goes along for each of the {sent.wrong:,} that a model got "
            "wrong, but no more are left."
        )
    with st.container(horizontal=True):
        pressed = st.button(
            "Send to review",
            type="primary",
            key="send-all-confirmed",
            on_click=_send_posts,
            args=(evaluation_ids, row_ids),
        )
        if pressed or st.button("Not now"):
            st.rerun()


def _send_posts(evaluation_ids: Sequence[int], row_ids: Sequence[int]) -> None:
    with errors.kept():
        with get_database().write() as found:
            sent = send_to_review(found, _review(found), evaluation_ids, row_ids)
        st.toast(_told(sent, _got(len(evaluation_ids))), icon=":material/undo:")


def _told(sent: Sent, got: str) -> str:
    posts = len(sent.item_ids)
    if not posts:
        return "It waits in review already."
    said = f"Sent {things(posts, 'post')} to review"
    if sent.right:
        said += f" and {sent.right:,} that {got} right"
    if sent.right < sent.wrong:
        said += f". No other that {got} right is left: the rest wait there or were judged since"
    return f"{said}."


def send_button(item_id: int, *, waits: bool) -> None:
    """The button that puts a post before all others into the review queue.

    Args:
        item_id: the post.
        waits: whether it waits there already.
    """
    _button(f"item-{item_id}", waits, _send_item, (item_id,))


def _button(key: str, waits: bool, send: Callable[..., None], args: tuple[object, ...]) -> None:
    st.button(
        "Waits in review" if waits else "Send to review",
        icon=":material/check:" if waits else ":material/undo:",
        key=f"send-{key}",
        disabled=waits,
        on_click=send,
        args=args,
    )


def _send_item(item_id: int) -> None:
    with errors.kept():
        with get_database().write() as found:
            sent = send_item(found, _review(found), item_id)
        st.toast(_told(sent, "the model that was looked at got"), icon=":material/undo:")


def _review(found: Session) -> ReviewService:
    return ReviewService(
        found,
        person=session.person(),
        browser=session.browser_id(),
        lease_minutes=get_settings().lease_minutes,
    )
