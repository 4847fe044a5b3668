"""The dialog that imports a file: drop it, look at it, say what is what, import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pandas as pd
import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.errors import InvalidInputError
from backend.intake.columns import ColumnMapping, Purpose
from backend.intake.preview import preview
from backend.intake.reports import Preview
from backend.intake.service import IntakeService
from backend.settings import get_settings
from ui.components import errors, numbers, session, text
from ui.components.import_columns import columns_form
from ui.components.import_options import Options, options_form
from ui.components.import_report import Report, rejected, sentences

_FORMATS = ["csv", "tsv", "tab", "json", "jsonl", "ndjson", "parquet", "pq", "xlsx", "xlsm"]
_PURPOSES = {
    Purpose.POSTS: "Posts",
    Purpose.ANSWERS: "Teacher's answers",
    Purpose.SET: "Evaluation set",
}
_SAYS = {
    Purpose.POSTS: "Posts to judge and to learn from, with or without labels and a teacher's answers.",
    Purpose.ANSWERS: "What a teacher said elsewhere of posts that are here, joined by id or by text.",
    Purpose.SET: "Labelled posts to measure models on. They are never trained on.",
}
_REPORT = "import report"


class Uploaded(Protocol):
    """What Streamlit gives for a dropped file."""

    name: str
    file_id: str

    def getbuffer(self) -> memoryview:
        """All of its bytes."""
        ...


def import_dialog() -> None:
    """Open the dialog, fresh."""
    st.session_state.pop(_REPORT, None)
    _dialog()


def _leave() -> None:
    """Go to the project that a file went into, however the dialog was closed."""
    report: Report | None = st.session_state.pop(_REPORT, None)
    if report is not None:
        session.choose(report.project_id)


@st.dialog("Import", width="large", icon=":material/upload_file:", on_dismiss=_leave)
@errors.shown()
def _dialog() -> None:
    report: Report | None = st.session_state.get(_REPORT)
    if report is not None:
        _outcome(report)
        return
    project = session.project()
    purposes = list(_PURPOSES) if project is not None else [Purpose.POSTS]
    purpose = Purpose.POSTS
    if project is not None:
        purpose = st.segmented_control(
            "What it is",
            purposes,
            default=Purpose.POSTS,
            required=True,
            format_func=_PURPOSES.__getitem__,
            label_visibility="collapsed",
        )
    st.caption(_SAYS[purpose])
    file = st.file_uploader("File", type=_FORMATS, key=f"import-{purpose}", label_visibility="collapsed")
    if file is not None:
        _look(file, purpose)


def _look(file: Uploaded, purpose: Purpose) -> None:
    path = _kept(file)
    key = f"import-{purpose}-{file.file_id}"
    guess = preview(path, purpose=purpose, file_name=file.name)
    st.markdown(f"**{text.label(file.name)}** · {_shape(guess)}")
    mapping = columns_form(guess, purpose, path, file.name, key)
    found = guess
    if mapping != guess.mapping:
        found = preview(path, mapping=mapping, purpose=purpose, file_name=file.name)
    _problems(found)
    st.dataframe(pd.DataFrame(list(found.rows), columns=list(found.columns)), height=190, hide_index=True)
    options = options_form(found, purpose, file.name, key)
    with st.container(horizontal=True, vertical_alignment="center", key="ov-import-go"):
        wanted = st.button("Import", type="primary", disabled=options is None, key=f"{key}-go")
        if wanted and options is not None:
            _import(path, file.name, purpose, mapping, options)


def _shape(found: Preview) -> str:
    encoding = f", {found.encoding}" if found.encoding else ""
    return f"{found.format.upper()}{encoding} · {numbers.things(len(found.columns), 'column')}"


def _problems(found: Preview) -> None:
    if not found.problems:
        return
    more = numbers.things(len(found.problems), "thing")
    with st.expander(
        f"{more} to know before importing", icon=":material/warning:", expanded=len(found.problems) < 4
    ):
        text.show(
            Markup('<ul class="ov-plain">{}</ul>').format(
                Markup("").join(Markup("<li>{}</li>").format(text.literal(each)) for each in found.problems)
            )
        )


def _import(path: Path, name: str, purpose: Purpose, mapping: ColumnMapping, options: Options) -> None:
    bar = st.progress(0.0, "Reading the file…")

    def on_progress(done: int, total: int | None) -> None:
        part = min(1.0, done / total) if total else 0.0
        bar.progress(part, f"{numbers.count(done)} of {numbers.things(total or done, 'row')}")

    with get_database().write() as database:
        intake = IntakeService(database)
        report = _by_purpose(intake, path, name, purpose, mapping, options, on_progress)
    path.unlink(missing_ok=True)
    st.session_state[_REPORT] = report
    st.rerun(scope="fragment")


def _by_purpose(
    intake: IntakeService,
    path: Path,
    name: str,
    purpose: Purpose,
    mapping: ColumnMapping,
    options: Options,
    on_progress: Callable[[int, int | None], None],
) -> Report:
    person = session.person()
    if purpose is Purpose.POSTS:
        return intake.import_posts(
            options.project,
            path,
            file_name=name,
            mapping=mapping,
            none_label=options.none_label,
            add_categories=options.add_categories,
            model=options.model,
            person=person,
            on_progress=on_progress,
        )
    if purpose is Purpose.ANSWERS:
        return intake.import_answers(
            session.project_id(),
            path,
            file_name=name,
            mapping=mapping,
            model=options.model,
            person=person,
            on_progress=on_progress,
        )
    return intake.import_evaluation_set(
        session.project_id(),
        path,
        name=options.name,
        file_name=name,
        mapping=mapping,
        positive=options.positive,
        label_map=options.label_map,
        language=options.language,
        none_label=options.none_label,
        person=person,
    )


def _outcome(report: Report) -> None:
    first, *more = sentences(report)
    icon = ":material/task_alt:" if report.changed else ":material/info:"
    (st.success if report.changed else st.info)(text.label(first), icon=icon)
    for sentence in more:
        st.markdown(text.label(sentence))
    rows, number = rejected(report)
    if number:
        st.warning(f"{numbers.things(number, 'row')} could not be used.", icon=":material/warning:")
        frame = pd.DataFrame([{"Line": row.line, "Why": row.why} for row in rows])
        st.dataframe(frame, height=min(260, 40 + 35 * len(rows)), hide_index=True)
        if number > len(rows):
            st.caption(f"The first {numbers.count(len(rows))} of them.")
    if st.button("Done", type="primary"):
        _leave()
        st.rerun()


def _kept(file: Uploaded) -> Path:
    """The dropped file on disk, where readers can go through it in pieces.

    Each browser keeps one at most, so that nothing piles up where a dialog is just closed.
    """
    folder = get_settings().home / "uploads"
    path = folder / f"{session.browser_id()}-{file.file_id}{Path(file.name).suffix.lower()}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{session.browser_id()}-*"):
            old.unlink(missing_ok=True)
        try:
            path.write_bytes(file.getbuffer())
        except OSError as error:
            raise InvalidInputError(
                f"The file could not be stored: {error.strerror}.", "Make room on the disk."
            ) from error
    return path
