"""The posts behind an evaluation, each with what people and models said of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.evaluation.naming import in_a_sentence
from backend.evaluation.results import Comparison, PostKind, PostPage, PostRow, Report
from backend.evaluation.service import EvaluationService
from backend.review.service import ReviewService
from backend.settings import get_settings
from ui.components import errors, session, text
from ui.components.labels import Looks, none_chip
from ui.components.pager import pager

_SIZE = 20
_SAID = Markup('<div class="ov-said"><span class="ov-faint">{}</span><span>{}</span></div>')
_POST = Markup('<div class="ov-outcome"><div class="ov-clamped">{}</div><div class="ov-saids">{}</div></div>')
_SENT = "sent to review"


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
        posts = EvaluationService(found).posts(
            reports[0].evaluation_id,
            kind=kind,
            other_id=other.evaluation_id if other else None,
            after=place.after or 0,
            limit=_SIZE,
        )
    if not posts.rows:
        st.caption("There is no such post.")
        return
    if not any(row.item_id for row in posts.rows):
        st.caption("These posts are in the evaluation set only, so there is nothing to send to review.")
    _list(posts, reports, looks)
    place.buttons(posts.next_after)


def _kinds(reports: Sequence[Report], compared: Comparison | None) -> dict[PostKind, str]:
    name = text.label(reports[0].name)
    alone = {
        PostKind.WRONG: f"{name} is wrong",
        PostKind.FALSE_ALARM: "False alarms",
        PostKind.MISSED: "Missed",
        PostKind.OTHER_LABELS: "Other categories",
    }
    if reports[0].yes_no:
        del alone[PostKind.OTHER_LABELS]
    if compared is None:
        return alone
    beside = {
        PostKind.ONLY_RIGHT_HERE: f"Only {_inside(reports[0])} is right · {compared.only_a_right:,}",
        PostKind.ONLY_RIGHT_THERE: f"Only {_inside(reports[1])} is right · {compared.only_b_right:,}",
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
                    send_button(row.item_id, key=f"{row.row_id}")


def _said(row: PostRow, reports: Sequence[Report], looks: Looks) -> Markup:
    yes_no = reports[0].yes_no
    lines = [("People", _chips(row.labels, row.positive, yes_no, looks))]
    lines.append((reports[0].name, _chips(row.predicted, row.flagged, yes_no, looks)))
    if len(reports) == 2:
        said = (
            Markup('<span class="ov-faint">–</span>')
            if row.other_predicted is None
            else _chips(row.other_predicted, bool(row.other_flagged), yes_no, looks)
        )
        lines.append((reports[1].name, said))
    return Markup("").join(_SAID.format(name, said) for name, said in lines)


def _chips(codes: Sequence[str], flagged: bool, yes_no: bool, looks: Looks) -> Markup:
    if not yes_no:
        return looks.chips(codes)
    return Markup('<span class="ov-chip ov-cx">violation</span>') if flagged else none_chip()


def send_button(item_id: int, *, key: str) -> None:
    """The button that puts a post before all others into the review queue."""
    sent: set[int] = st.session_state.setdefault(_SENT, set())
    done = item_id in sent
    st.button(
        "Waits in review" if done else "Send to review",
        icon=":material/check:" if done else ":material/undo:",
        key=f"send-{key}-{item_id}",
        disabled=done,
        on_click=_send,
        args=(item_id,),
    )


def _send(item_id: int) -> None:
    with errors.kept(), get_database().write() as found:
        service = ReviewService(
            found,
            person=session.person(),
            browser=session.browser_id(),
            lease_minutes=get_settings().lease_minutes,
        )
        service.send_back([item_id])
        st.session_state[_SENT].add(item_id)
