"""The team's own word list: what is in it, and another in its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.db.models import WordList
from backend.word_lists.service import WordListReport, WordListService, by_category
from training.policy import Category
from ui.components import errors, figures, numbers, session, text
from ui.components.empty import empty
from ui.components.import_dialog import Uploaded
from ui.components.labels import Looks

_FORMATS = ["csv", "tsv", "txt", "tab", "json", "jsonl", "xlsx"]
_ANY = ""
"""Stands for any violation where a category's code would stand."""

_SHOWN = 200
"""Words of one category that are listed."""

_WORDS = Markup('<p class="ov-faint">{}</p>')


def draw(categories: Sequence[Category], looks: Looks) -> None:
    """What the list holds, and where another comes from."""
    with get_database().read() as found:
        newest = WordListService(found).newest(session.project_id())
    if newest is None:
        empty(
            "No word list yet",
            "If you block posts by words today, give the list: it then stands beside the student in each "
            "evaluation that you make, and shows whether the student is worth having.",
            icon=":material/list_alt:",
            key="word-list",
        )
        _importing(categories, 0)
        return
    _facts(newest)
    text.show(_counts(newest, looks))
    _words(newest, looks)
    with st.expander("Import another list", icon=":material/upload_file:"):
        _importing(categories, newest.number)


def _facts(newest: WordList) -> None:
    st.markdown(
        f"**{_words_of(len(newest.entries))}** from "
        f"{text.label(newest.file_name)} · version {newest.number} · {numbers.moment(newest.created_at)}"
    )
    st.caption(
        "A post has a category where one of its words stands in it, whole and in any case. Evaluations that "
        "were made with an earlier list keep their figures."
    )


def _counts(newest: WordList, looks: Looks) -> Markup:
    counted = by_category(newest.entries)
    rows = [(looks.chip(code), numbers.count(count)) for code, count in counted.items()]
    if general := sum(not codes for codes in newest.entries.values()):
        rows.append((Markup("Any violation"), numbers.count(general)))
    return figures.table(["Stands for", "Words"], rows, numbers=(1,), narrow=True)


def _words(newest: WordList, looks: Looks) -> None:
    """The words themselves, folded: nobody has to read them to see that they are there."""
    with st.expander("The words", icon=":material/visibility:"):
        for code in (*by_category(newest.entries), _ANY):
            words = sorted(word for word, of in newest.entries.items() if (code in of if code else not of))
            if words:
                more = len(words) - _SHOWN
                text.show(looks.chip(code) if code else Markup("Any violation"))
                listed = text.literal(" · ".join(words[:_SHOWN]))
                text.show(_WORDS.format(listed + (f" and {more:,} more" if more > 0 else "")))


def _importing(categories: Sequence[Category], number: int) -> None:
    """Take a file as the list after `number`."""
    st.caption(
        "A table with the columns `word` and `category`, or a .txt file with one word or phrase a line. "
        "Case does not count; a phrase is found as a whole, and \\* stands for nothing but itself."
    )
    # A key of its own for each list: what was imported is not offered again.
    file = st.file_uploader(
        "File", type=_FORMATS, label_visibility="collapsed", key=f"word-list-file-{number}"
    )
    names = {_ANY: "Any violation"} | {category.code: category.name for category in categories}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        category = st.selectbox(
            "Words without a category stand for",
            list(names),
            format_func=lambda code: names[code],
            key="word-list-category",
            width=320,
        )
        st.button(
            "Import the list",
            disabled=file is None,
            on_click=_import,
            args=(file, category or None),
            key="word-list-import",
        )


def _import(file: Uploaded, category: str | None) -> None:
    with errors.kept():
        st.toast(_said(_taken(file, category)))


def _taken(file: Uploaded, category: str | None) -> WordListReport:
    with TemporaryDirectory(prefix="overrule-words-") as folder, get_database().write() as found:
        path = Path(folder) / "words"
        path.write_bytes(file.getbuffer())
        return WordListService(found).import_file(
            session.project_id(), path, name=file.name, category=category, person=session.person()
        )


def _said(report: WordListReport) -> str:
    if not report.changed:
        return "Nothing new: the list has the same words."
    parts = [f"Version {report.number}: {_words_of(report.words)}"]
    for count, what in ((report.blank, "without a word"), (report.repeated, "said twice")):
        if count:
            parts.append(f"{numbers.things(count, 'line')} {what}")
    return f"{', '.join(parts)}."


def _words_of(count: int) -> str:
    return numbers.things(count, "word or phrase", "words and phrases")
