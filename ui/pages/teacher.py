"""Teacher: who is asked, what that costs, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.db.models import Job
from backend.db.models.content import Agreement
from backend.db.models.jobs import JobKind
from backend.db.models.teacher import TeacherOrigin
from backend.jobs.service import JobService
from backend.teacher.results import TeacherRunSummary, TeachPayload, TeachPlan
from backend.teacher.service import TeacherService
from ui.components import agreement, errors, figures, jobs, labels, numbers, session, text
from ui.components.beginning import no_project
from ui.components.empty import empty
from ui.components.heading import heading
from ui.components.live import UNDER_WAY, follow
from ui.components.pages import go

_FAILURES = {
    "rate-limit": "too many requests",
    "server-error": "server error",
    "timeout": "no answer in time",
    "connection": "no connection",
    "rejected": "request refused",
    "garbage": "no chat completion",
}
_MEND = {
    "rate-limit": "Ask again later, or fewer at once with `OVERRULE_TEACHER_CONCURRENCY`.",
    "server-error": "The server has trouble; ask again later.",
    "timeout": "Ask again later, or give it longer with `OVERRULE_TEACHER_TIMEOUT`.",
    "connection": "Is the address right, and the server running?",
    "rejected": "Are the key and the model's name right?",
    "garbage": "Is the address that of an OpenAI-compatible server, with its `/v1`?",
}


def page() -> None:
    """Draw the page."""
    heading("Teacher")
    st.caption(
        "A stronger model labels the posts under the policy and gives its reasons. It is never told what "
        "people decided: its answers are compared with that afterwards."
    )
    job = _newest_job()
    under_way = job is not None and job.state in UNDER_WAY
    nothing_to_ask = False
    left, right = st.columns((5, 6), gap="medium")
    with right, st.container(border=True, height="stretch"), errors.shown():
        plan = _ask(under_way=under_way)
        nothing_to_ask = not under_way and not plan.prompt_tokens
        with left, st.container(border=True, height="stretch"):
            _endpoint(plan)

    def draw() -> bool:
        return _runs(job.id if job else None)

    follow(draw, under_way=under_way)
    _agreement(is_next=nothing_to_ask)


def _newest_job() -> Job | None:
    with get_database().read() as found:
        newest = JobService(found).list(session.project_id(), kind=JobKind.TEACH, limit=1)
    return newest[0] if newest else None


def _endpoint(plan: TeachPlan) -> None:
    st.markdown("#### Who is asked", anchors=False)
    key = "set" if plan.has_key else "not set"
    text.show(
        figures.pairs(
            [
                ("Model", text.literal(plan.model)),
                ("Address", text.literal(plan.endpoint)),
                ("Key", Markup(key)),
            ]
        )
    )
    st.caption(
        "Set `OVERRULE_TEACHER_MODEL`, `OVERRULE_TEACHER_URL` and `OVERRULE_TEACHER_KEY` and start Overrule "
        "again to ask another. Any OpenAI-compatible address will do."
    )
    with st.expander(f"The prompt (version {plan.prompt_version})", icon=":material/description:"):
        st.code(plan.prompt, language=None, wrap_lines=True, height=320)


def _ask(*, under_way: bool) -> TeachPlan:
    """What a run would ask, the choices, and the button."""
    st.markdown("#### What will be asked", anchors=False)
    shown = st.container()
    recheck = st.toggle(
        "Recheck wrong answers",
        value=True,
        help="An answer that differs from people's decision is asked once more in the same conversation. The "
        "teacher is told only that its classification is incorrect. Both answers are kept.",
        key="teach-recheck",
    )
    limit = st.number_input(
        "At most so many posts",
        min_value=1,
        value=None,
        placeholder="all of them",
        key="teach-limit",
        width=220,
    )
    again = bool(st.session_state.get("teach-invalid", False))
    payload = TeachPayload(recheck=recheck, limit=limit, ask_invalid=again)
    with get_database().read() as found:
        plan = TeacherService(found).plan(session.project_id(), payload)
    if plan.invalid:
        st.checkbox(
            f"Ask again about {numbers.things(plan.invalid, 'unreadable answer')}", key="teach-invalid"
        )
    rechecks = min(plan.to_recheck, limit or plan.to_recheck) if recheck else 0
    with shown:
        _plan(plan, rechecks)
    st.button(
        "Ask the teacher",
        type="primary",
        icon=":material/school:",
        disabled=under_way or not (plan.wanted or rechecks),
        on_click=_start,
        args=(payload,),
        key="teach-start",
    )
    return plan


def _plan(plan: TeachPlan, rechecks: int) -> None:
    if not plan.wanted and not rechecks:
        st.markdown(":green[:material/check:] Every post has an answer; there is nothing to ask.")
        return
    words = [f"**{numbers.things(plan.wanted, 'post')}** without an answer" if plan.wanted else ""]
    words.append(f"**{numbers.things(rechecks, 'wrong answer')}** to recheck" if rechecks else "")
    st.markdown(" and ".join(word for word in words if word))
    st.markdown(
        f"about **{numbers.rough(plan.prompt_tokens)}** tokens to send and "
        f"**{numbers.rough(plan.answer_tokens)}** to receive"
    )
    st.caption(
        "Estimated from the length of the prompt and the posts. Wrong answers that come in are rechecked too."
    )


def _start(payload: TeachPayload) -> None:
    with errors.kept(), get_database().write() as found:
        TeacherService(found).start(
            session.project_id(),
            recheck=payload.recheck,
            limit=payload.limit,
            ask_invalid=payload.ask_invalid,
            person=session.person(),
        )


def _runs(job_id: int | None) -> bool:
    """The job at work and the runs so far; whether the job is under way."""
    under_way = False
    if job_id is not None:
        now = jobs.standing(job_id)
        under_way = now.under_way
        if under_way or now.job.error:
            with st.container(border=True, key="ov-teaching"):
                st.markdown(f"**{text.label(now.job.title)}**")
                jobs.draw(now)
                jobs.buttons(now)
                jobs.log(now.job)
        _unanswered(now.job)
    with get_database().read() as found:
        runs = TeacherService(found).runs(session.project_id())
    st.markdown("### Runs", anchors=False)
    if not runs:
        empty(
            "No answers yet",
            "“Ask the teacher” brings them. Answers that a teacher gave elsewhere can be imported with the "
            "posts, or from a file of their own.",
            icon=":material/school:",
            key="teacher-runs",
        )
        return under_way
    _runs_table(runs)
    return under_way


def _unanswered(job: Job) -> None:
    """Why posts of the newest run got no answer, in words and with what to do."""
    result = job.result or {}
    for kind, posts in (result.get("failed") or {}).items():
        said = (result.get("said") or {}).get(kind)
        lines = [
            f"**{numbers.things(posts, 'post')} got no answer: {_FAILURES.get(kind, text.label(kind))}.**"
        ]
        lines += [f"Last reported: {text.label(str(said))}"] if said else []
        lines += [f"{_MEND.get(kind, '')} These posts are asked again the next time."]
        st.warning("  \n".join(lines), icon=":material/warning:")


def _runs_table(runs: Sequence[TeacherRunSummary]) -> None:
    rows = [
        (
            text.literal(run.model) + Markup('<div class="ov-faint ov-small">{}</div>').format(_origin(run)),
            _answered(run),
            _agreed(run),
            _rechecked(run),
            _trouble(run),
        )
        for run in runs
    ]
    text.show(figures.table(["Teacher", "Answered", "Agrees with people", "Rechecked", "Trouble"], rows))


def _origin(run: TeacherRunSummary) -> str:
    verb = "imported" if run.origin is TeacherOrigin.IMPORTED else "asked"
    return f"{verb} by {run.created_by}, {numbers.moment(run.created_at)}"


def _answered(run: TeacherRunSummary) -> Markup:
    if not run.wanted or run.answered >= run.wanted:
        return Markup(numbers.count(run.answered))
    of = Markup(' <span class="ov-faint">of {}</span>').format(numbers.count(run.wanted))
    return Markup(numbers.count(run.answered)) + of


def _agreed(run: TeacherRunSummary) -> Markup:
    compared = run.agrees + run.differs
    if not compared:
        return Markup('<span class="ov-faint">nothing to compare with yet</span>')
    return figures.bar(run.agrees / compared) + Markup(" {} <span class='ov-faint'>of {}</span>").format(
        numbers.share(run.agrees, compared), numbers.count(compared)
    )


def _rechecked(run: TeacherRunSummary) -> str:
    if not run.rechecked:
        return "–"
    return f"{numbers.count(run.rechecked)}, {numbers.count(run.mended)} mended"


def _trouble(run: TeacherRunSummary) -> str:
    kinds = [f"{count:,} {_FAILURES.get(kind, kind)}" for kind, count in run.errors.items() if count]
    if run.invalid:
        kinds.insert(0, f"{run.invalid:,} unreadable")
    return ", ".join(kinds) or "none"


def _agreement(*, is_next: bool) -> None:
    with get_database().read() as found:
        table = TeacherService(found).agreement(session.project_id())
        looks = labels.load(found, session.project_id())
    if not table.compared:
        return
    words, step = st.columns((4, 1), vertical_alignment="bottom")
    words.markdown("### Where teacher and people differ", anchors=False)
    with step.container(horizontal_alignment="right"):
        look: Literal["primary", "secondary"] = "primary" if is_next else "secondary"
        if table.differs and st.button("Review them", icon=":material/gavel:", type=look):
            go("review")
    counts = table.counts
    text.show(
        figures.facts(
            [
                (numbers.share(table.agrees, table.compared), f"agree, of {numbers.count(table.compared)}"),
                (numbers.count(counts.get(Agreement.FALSE_ALARM, 0)), "false alarms"),
                (numbers.count(counts.get(Agreement.MISSED, 0)), "missed"),
                (numbers.count(counts.get(Agreement.OTHER_LABELS, 0)), "other categories"),
            ]
        )
    )
    st.altair_chart(
        agreement.by_category(table.categories, looks),
        alt="By category: posts that both name, that only the teacher names, that only people name",
    )


if session.project() is None:
    no_project("Teacher")
else:
    page()
