"""Overview: where each step stands, what to do next, how good the champion is."""

from __future__ import annotations

from itertools import starmap

import streamlit as st
from markupsafe import Markup

from backend.curation.service import CurationService
from backend.db.engine import get_database
from backend.db.models.content import Agreement
from backend.evaluation.results import Interval, ModelRow
from backend.overview.service import OverviewService
from backend.overview.steps import changed, new_decisions, next_step, steps
from backend.overview.views import Action, Champion, Happening, NextStep, Standing, Step, StepState
from backend.runs.service import RunService
from backend.teacher.results import AgreementTable
from backend.teacher.service import TeacherService
from ui.components import agreement, errors, labels, numbers, session, text
from ui.components.empty import empty
from ui.components.import_dialog import import_dialog
from ui.components.pages import go, path

_SIGN = {StepState.EMPTY: "○", StepState.OPEN: "◐", StepState.RUNNING: "◌", StepState.DONE: "●"}
_WORD = {
    StepState.EMPTY: "to do",
    StepState.OPEN: "open",
    StepState.RUNNING: "at work",
    StepState.DONE: "done",
}


def draw() -> None:
    """Draw the page."""
    if session.project() is None:
        _first_time()
        return
    project_id = session.project_id()
    with get_database().read() as database:
        overview = OverviewService(database)
        standing = overview.standing(project_id)
        champion = overview.champion(project_id)
        lately = overview.latest(project_id)
        agreement = TeacherService(database).agreement(project_id)
        looks = labels.load(database, project_id)
    _heading()
    _steps(steps(standing))
    _cards(standing)
    left, right = st.columns([1, 1], gap="large")
    with left:
        _champion(champion)
        _lately(lately)
    with right:
        _agreement(agreement, looks)


def _first_time() -> None:
    st.title("Overview", anchor=False)
    if empty(
        "No project yet",
        "A project holds posts, the rules they are judged by, and the students that learn from them. "
        "Import posts to make one.",
        icon=":material/upload_file:",
        action="Import posts",
    ):
        import_dialog()


def _heading() -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(session.project_name(), anchor=False, width="content")
        if st.button("Import", icon=":material/upload_file:"):
            import_dialog()


def _steps(found: list[Step]) -> None:
    with st.container(key="ov-loop"):
        for column, step in zip(st.columns(len(found), gap="small"), found, strict=True):
            look = "ov-step-next" if step.is_next else "ov-step"
            with column, st.container(key=f"{look}-{step.name.lower()}", border=True, gap=None):
                st.page_link(path(step.page), label=step.name)
                text.show(_STEP.format(step.figure, step.detail, _state(step)))


_STEP = Markup('<div class="ov-figure">{}</div><div class="ov-detail">{}</div><div class="ov-state">{}</div>')


def _state(step: Step) -> Markup:
    sign = Markup('<span class="ov-sign-{}" aria-hidden="true">{}</span> {}').format(
        step.state, _SIGN[step.state], _WORD[step.state]
    )
    return sign + Markup(' · <b class="ov-next">next</b>') if step.is_next else sign


def _cards(standing: Standing) -> None:
    step = next_step(standing)
    # Before a first run has finished, the steps say what leads to one.
    learned = standing.runs_done > 0 and standing.new_decisions > 0
    beside = learned and step.action is not Action.RETRAIN and not standing.active
    columns = st.columns(2 if beside else 1, gap="small")
    again = False
    with columns[0], _card("next"):
        st.markdown(f"**Next** · {step.text}", width="stretch")
        wanted = st.button(step.label, type="primary", key="next step")
    if beside:
        with columns[1], _card("retrain"):
            st.markdown(new_decisions(standing), width="stretch")
            again = st.button("Retrain", icon=":material/model_training:", key="retrain")
    # Outside of the cards, where an error has the page's width.
    if wanted:
        _take(step)
    if again:
        _retrain()


def _card(name: str) -> st.delta_generator.DeltaGenerator:
    return st.container(
        key=f"ov-card-{name}",
        border=True,
        horizontal=True,
        wrap=False,
        vertical_alignment="center",
        height="stretch",
    )


@errors.shown()
def _take(step: NextStep) -> None:
    if step.action is Action.IMPORT:
        import_dialog()
    elif step.action is Action.RETRAIN:
        _retrain()
    else:
        go(step.page)


@errors.shown()
def _retrain() -> None:
    with get_database().read() as database:
        # As before a version is built: nobody else can write while one is.
        CurationService(database).look_for_leaks(session.project_id())
    with get_database().write() as database:
        RunService(database).retrain(session.project_id(), person=session.person())
    go("training")


def _champion(champion: Champion) -> None:
    st.subheader("Champion", anchor=False)
    if champion.row is None:
        st.markdown(f"The {champion.name.lower()} is in use. Train a student to see how good both are.")
        return
    rows = [_model(champion.row, champion.base, "champion")]
    if champion.base is not None:
        rows.append(_model(champion.base, None, "untrained"))
    if champion.challenger is not None:
        rows.append(_model(champion.challenger, champion.row, "challenger"))
    text.show(_TABLE.format(Markup("").join(rows)))
    posts = numbers.things(champion.row.posts, "post")
    said = [f"On {posts} of the test split, with 95% intervals."]
    if compared := _compared(champion):
        said.append(f"{compared}; it is coloured where the intervals lie apart.")
    st.caption(" ".join(said))
    if champion.challenger is not None:
        st.page_link(path("evaluation"), label="Compare them", icon=":material/compare_arrows:")


def _compared(champion: Champion) -> str:
    to = []
    if champion.base is not None:
        to.append("the champion's difference is to the base model")
    if champion.challenger is not None:
        to.append(
            "the challenger's to the champion" if to else "the challenger's difference is to the champion"
        )
    return ", ".join(to).capitalize()


_TABLE = Markup(
    '<table class="ov-table"><thead><tr><th></th><th>Macro-F1</th><th>AUPRC</th>'
    "<th>Any violation, F1</th></tr></thead><tbody>{}</tbody></table>"
)
# A figure and its 95% interval; no docstring, because Streamlit writes a page's bare strings onto it.
_Measured = tuple[float | None, Interval | None]

_SPAN = Markup('<div class="ov-faint ov-small">{} to {}</div>')
_MODEL = Markup(
    '<tr><th scope="row">{} <span class="ov-faint">{}</span></th><td>{}</td><td>{}</td><td>{}</td></tr>'
)


def _model(row: ModelRow, against: ModelRow | None, word: str) -> Markup:
    now = _headline(row)
    before = _headline(against) if against is not None else [(None, None)] * len(now)
    return _MODEL.format(
        row.name[:1].upper() + row.name[1:], word, *starmap(_figure, zip(now, before, strict=True))
    )


def _headline(row: ModelRow) -> list[_Measured]:
    return [
        (row.macro_f1, row.macro_f1_interval),
        (row.macro_auprc, row.macro_auprc_interval),
        (row.any_f1, row.any_f1_interval),
    ]


def _figure(now: _Measured, before: _Measured) -> Markup:
    """A figure with its change, and under it what it may be.

    The change is coloured where the two intervals lie apart: less than that is told on Evaluation, where
    the models are compared post by post.
    """
    (value, span), (other, other_span) = now, before
    figure = Markup("{}").format(numbers.score(value))
    if value is not None and other is not None:
        apart = span and other_span and (span.low > other_span.high or span.high < other_span.low)
        look = "ov-faint" if not apart else "ov-good" if value > other else "ov-bad"
        figure += Markup(' <span class="{}">{}</span>').format(look, changed(value - other))
    if span is not None:
        figure += _SPAN.format(numbers.score(span.low), numbers.score(span.high))
    return figure


def _agreement(table: AgreementTable, looks: labels.Looks) -> None:
    st.subheader("Teacher and people", anchor=False)
    if table.compared == 0:
        st.markdown(
            "Posts that have both a teacher's answer and people's label show here where the two differ."
        )
        return
    wrong = [
        numbers.things(table.counts.get(Agreement.FALSE_ALARM, 0), "false alarm"),
        f"{numbers.count(table.counts.get(Agreement.MISSED, 0))} missed",
    ]
    if other := table.counts.get(Agreement.OTHER_LABELS, 0):
        wrong.append(f"{numbers.count(other)} with other labels")
    st.markdown(
        f"They agree on **{numbers.count(table.agrees)} of {numbers.things(table.compared, 'post')}** "
        f"({numbers.share(table.agrees, table.compared)}). The teacher is wrong on "
        f"{numbers.count(table.differs)}: {', '.join(wrong)}."
    )
    st.altair_chart(
        agreement.by_category(table.categories, looks),
        alt="By category: posts that both name, that only the teacher names, that only people name",
    )


def _lately(happened: list[Happening]) -> None:
    st.subheader("Lately", anchor=False)
    if not happened:
        st.markdown("Nothing has happened yet.")
        return
    rows = [
        _EVENT.format(numbers.moment(one.at), text.literal(one.text), text.literal(one.person))
        for one in happened
    ]
    text.show(Markup('<ul class="ov-events">{}</ul>').format(Markup("").join(rows)))


_EVENT = Markup('<li><time>{}</time><span>{} <span class="ov-faint">{}</span></span></li>')


draw()
