"""Review: judge one answer after another, from the keyboard."""

from __future__ import annotations

from functools import partial

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.db.models.content import Queue, Split
from backend.db.models.review import Verdict
from backend.overview.service import OverviewService
from backend.overview.views import Action, Page
from backend.projects.service import ProjectService
from backend.review.marks import spans
from backend.review.views import Earlier, QueueProgress, ReviewAnswer, ReviewItem
from backend.settings import get_settings
from ui.components import desk, errors, labels, numbers, session, text
from ui.components.desk import Draft, Mode
from ui.components.empty import empty
from ui.components.pages import go
from ui.components.review_editor import dropping, editor, replaces, saving

_QUEUES = {Queue.TEACHER: "Teacher's answers", Queue.SCRATCH: "From scratch"}
_SPLITS = {Split.TRAIN: "training post", Split.VALIDATION: "validation post", Split.TEST: "test post"}
_VERDICTS = {
    Verdict.RIGHT: "right",
    Verdict.WRONG_LABELS: "wrong labels",
    Verdict.BAD_REASON: "bad reason",
    Verdict.CANNOT_TELL: "can't tell",
    Verdict.DISCARD: "discarded",
    Verdict.FROM_SCRATCH: "judged from scratch",
}
# Longer prose is folded after about four lines.
_FOLD_AFTER = 260


def draw() -> None:
    """Draw the page: what stays, then the desk, which alone is drawn again with each decision."""
    chosen = session.project()
    if chosen is None:
        if empty("Nothing to review", "Posts and a teacher's answers come first.", action="Go to Overview"):
            go("overview")
        return
    with st.container(key="ov-review-top", horizontal=True, vertical_alignment="center"):
        st.title("Review", anchor=False, width="content")
        st.segmented_control(
            "Queue",
            list(_QUEUES),
            key=desk.queue_key(),
            default=desk.queue(),
            required=True,
            format_func=_QUEUES.__getitem__,
            label_visibility="collapsed",
            on_change=desk.switch,
        )
        st.space("stretch")
        st.toggle("Cover posts", value=chosen.blur, key=f"blur-{chosen.id}", on_change=_set_blur)
    _desk()


def _set_blur() -> None:
    chosen = session.project()
    if chosen is None:
        return
    with errors.kept(), get_database().write() as database:
        ProjectService(database).set_blur(chosen.id, bool(st.session_state[f"blur-{chosen.id}"]))


@st.fragment
@errors.shown()
def _desk() -> None:
    if desk.take_moved():
        st.rerun()
    _judge()
    if (switched := desk.take_switched()) is not None:
        # The chooser keeps the keyboard after a click; the keys belong to the desk.
        with st.container(key="ov-focus"):
            st.html(_BLUR.format(switched), unsafe_allow_javascript=True)


def _judge() -> None:
    item, progress, looks = _next()
    if item is not None and desk.save(item, looks):
        item, progress, looks = _next()
    errors.show_kept()
    _status(item, progress)
    if item is None:
        _nothing_left(progress)
        return
    current = desk.draft(item)
    left, right = st.columns(2, gap="small")
    look = "-covered" if desk.covered(item) else ""
    with left, st.container(key="ov-card-post", border=True, gap="small", height="stretch"):
        _post(item)
    with right:
        if current is None:
            with st.container(key=f"ov-card-teacher{look}", border=True, gap="small", height="stretch"):
                _teacher(item, looks)
        else:
            with st.container(key=f"ov-card-edit{look}", border=True, gap="small", height="stretch"):
                editor(item, current, looks)
    if current is None:
        _verdicts(item, looks)
    else:
        saving(item, current)
    _policy(item, current, looks)


def _next() -> tuple[ReviewItem | None, QueueProgress, labels.Looks]:
    project_id, queue, browser = session.project_id(), desk.queue(), session.browser_id()
    with get_database().write() as database:
        review = desk.service(database, browser)
        item = review.next(project_id, queue)
        progress = item.progress if item else review.progress(project_id, queue)
        return item, progress, labels.load(database, project_id)


def _status(item: ReviewItem | None, progress: QueueProgress) -> None:
    with st.container(key="ov-review-status", horizontal=True, vertical_alignment="center"):
        text.show(_STATUS.format(_place(progress), item.why) if item else Markup("<span></span>"))
        st.space("stretch")
        saved, notice = desk.saved_at(), desk.take_notice()
        said = notice or (f"saved {numbers.clock(saved)}" if saved else "")
        if said:
            text.show(Markup('<span class="ov-faint" role="status">{}</span>').format(said), width="content")
        st.button(
            "Undo",
            icon=":material/undo:",
            shortcut="U",
            key="undo",
            on_click=desk.undo,
            args=(session.project_id(), session.browser_id()),
        )
        if item is not None:
            word, icon = ("Uncover", "visibility") if desk.covered(item) else ("Cover", "visibility_off")
            st.button(
                word,
                icon=f":material/{icon}:",
                shortcut="B",
                on_click=desk.cover,
                args=(item,),
                key=desk.key("cover", item),
            )


_STATUS = Markup('<span><b>{}</b> <span class="ov-faint">·</span> {}</span>')


def _place(progress: QueueProgress) -> str:
    total = f"more than {numbers.count(progress.total)}" if progress.more else numbers.count(progress.total)
    return f"{numbers.count(progress.position)} of {total}"


def _post(item: ReviewItem) -> None:
    quoted = item.answer.harmful if item.answer else ()
    body = text.post(item.text, spans(item.text, quoted), blur=desk.covered(item))
    about = [item.source, *(str(value) for value in list(item.meta.values())[:2]), _SPLITS[item.split]]
    small = Markup(" · ").join(text.literal(each) for each in [*about, item.external_id] if each)
    measures = _MEASURES if item.split is Split.TEST else ""
    text.show(_POST.format(body, small, measures))


_POST = Markup('<div class="ov-label">Post</div>{}<div class="ov-small ov-faint">{}</div>{}')
_MEASURES = Markup(
    '<div class="ov-small">Test post: your judgement changes what students are measured by.</div>'
)


def _teacher(item: ReviewItem, looks: labels.Looks) -> None:
    answer = item.answer
    assert answer is not None, "without an answer the editor is open"
    rows = [("Says", looks.chips(answer.labels))]
    if item.gold_labels is not None:
        rows.append(("Gold", looks.chips(item.gold_labels)))
    if item.earlier is not None:
        rows.append(("Before", _earlier(item.earlier, looks)))
    rows.append(("Quotes", text.quoted(answer.harmful)))
    if rules := _rules(answer, looks):
        rows.append(("Rule" if len(rules) == 1 else "Rules", Markup("").join(rules)))
    rows.append(("Analysis", _folded(answer.analysis)))
    if item.gold_reason:
        rows.append(("Gold reason", _folded(item.gold_reason)))
    if item.recheck is not None:
        rows.append(("Recheck", _recheck(item.recheck, looks)))
    heading = Markup('<div class="ov-label">Teacher said <span class="ov-faint">{}{}</span></div>')
    under = "" if answer.policy_version == looks.newest else f", under policy version {answer.policy_version}"
    text.show(heading.format(text.literal(answer.model), under) + _facts(rows))


def _rules(answer: ReviewAnswer, looks: labels.Looks) -> list[Markup]:
    """The rules that the answer named, as the teacher was given them."""
    named = [(looks.name(code), looks.rule(code, answer.policy_version)) for code in answer.labels]
    line = Markup("<div><b>{}:</b> {}</div>")
    return [line.format(text.literal(name), text.literal(rule)) for name, rule in named if rule]


def _facts(rows: list[tuple[str, Markup]]) -> Markup:
    lines = Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(name, value) for name, value in rows)
    return Markup('<dl class="ov-said">{}</dl>').format(lines)


def _folded(prose: str) -> Markup:
    if not prose.strip():
        return Markup('<span class="ov-faint">none given</span>')
    if len(prose) <= _FOLD_AFTER:
        return Markup('<div class="ov-argument" dir="auto">{}</div>').format(text.literal(prose))
    return Markup('<details class="ov-fold"><summary><span dir="auto">{}</span></summary></details>').format(
        text.literal(prose)
    )


def _recheck(answer: ReviewAnswer, looks: labels.Looks) -> Markup:
    return Markup(
        '<details><summary>{}</summary><div class="ov-argument" dir="auto">{}</div></details>'
    ).format(looks.chips(answer.labels), text.literal(answer.analysis))


def _earlier(earlier: Earlier, looks: labels.Looks) -> Markup:
    verdict = _VERDICTS.get(earlier.verdict, "decided") if earlier.verdict else "decided"
    chips = looks.chips(earlier.labels) if earlier.labels is not None else Markup("")
    return Markup('{} <span class="ov-faint">{}: {}, {}</span>').format(
        chips, text.literal(earlier.person), verdict, numbers.moment(earlier.at)
    )


def _verdicts(item: ReviewItem, looks: labels.Looks) -> None:
    gone = item.answer is not None and not set(item.answer.labels) <= set(looks.current)
    why = "The policy no longer has a category that the teacher named." if gone else None
    with st.container(key="ov-verdicts"):
        right, wrong, reason, tell, discard = st.columns(5, gap="small")
    said = item.answer.labels if item.answer else None
    overturns = item.replaced_by(said) is not None
    right.button(
        "Teacher is right" if overturns else "Right",
        shortcut="A",
        # What overturns a person's label is no button to press in passing.
        type="secondary" if overturns else "primary",
        width="stretch",
        key=desk.key("right", item),
        disabled=gone,
        help=why,
        on_click=desk.decide,
        args=(item, Verdict.RIGHT, session.browser_id()),
    )
    wrong.button(
        "Wrong labels",
        shortcut="W",
        width="stretch",
        key=desk.key("wrong", item),
        on_click=desk.begin,
        args=(item, Mode.LABELS),
    )
    reason.button(
        "Bad reason",
        shortcut="E",
        width="stretch",
        key=desk.key("bad", item),
        disabled=gone,
        help=why,
        on_click=desk.begin,
        args=(item, Mode.REASON),
    )
    dropping(item, tell, discard)
    if not gone:
        replaces("“Teacher is right”", item, said, looks)


_BLUR = "<script>/* {} */ document.activeElement?.blur()</script>"


def _policy(item: ReviewItem, current: Draft | None, looks: labels.Looks) -> None:
    answered = item.answer.labels if item.answer else ()
    named = {*answered, *(item.gold_labels or ()), *((current.labels or ()) if current else ())}
    first = [code for code in looks.current if code in named]
    words = ", ".join(text.label(looks.name(code)) for code in first)
    with st.expander(f"Policy: {words}" if words else "Policy"):
        rest = [code for code in looks.current if code not in named]
        text.show(_facts_of_rules([*first, *rest], looks))


def _facts_of_rules(codes: list[str], looks: labels.Looks) -> Markup:
    rows = [(code, text.literal(looks.rule(code))) for code in codes]
    lines = Markup("").join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(looks.chip(code), rule) for code, rule in rows
    )
    return Markup('<dl class="ov-said ov-rules">{}</dl>').format(lines)


def _nothing_left(progress: QueueProgress) -> None:
    if progress.left:
        one = progress.left == 1
        empty(
            "All that is left is open elsewhere",
            f"{numbers.things(progress.left, 'post')} of this queue {'is' if one else 'are'} open in another "
            f"browser, or in a private window that was closed. {'It comes' if one else 'They come'} back "
            f"after {get_settings().lease_minutes:g} minutes without a decision.",
            icon=":material/hourglass_top:",
        )
        return
    with get_database().read() as database:
        step = OverviewService(database).next_step(session.project_id())
    done = f"{numbers.things(progress.done, 'post')} judged. " if progress.done else ""
    title = "The queue is done" if progress.done else "Nothing waits here"
    here = step.page is Page.REVIEW
    other = Queue.SCRATCH if desk.queue() is Queue.TEACHER else Queue.TEACHER
    if empty(
        title,
        f"{done}Next: {text.label(step.text)}",
        icon=":material/task_alt:",
        action=step.label if step.action is Action.GO else "Go to Overview",
        on_click=partial(desk.show, other) if here else None,
    ):
        go(step.page if step.action is Action.GO and not here else "overview")


draw()
