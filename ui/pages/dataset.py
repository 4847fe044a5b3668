"""Dataset: look through the items, build a version, see what the student is taught."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import streamlit as st
from markupsafe import Markup

from backend.curation.service import CurationService
from backend.curation.views import NONE, ItemFilter, ItemPage, ItemRow
from backend.db.engine import get_database
from backend.db.models.content import Agreement, Split
from backend.db.models.review import Verdict
from backend.teacher.results import DIFFERING
from ui.components import errors, export, item, labels, numbers, session, versions, words
from ui.components.beginning import no_project
from ui.components.empty import empty
from ui.components.heading import heading
from ui.components.import_dialog import import_dialog
from ui.components.labels import Looks
from ui.components.pager import Pager, pager
from ui.components.rows import Row, faint, one_line, opened

_SIZE = 50
_T = TypeVar("_T")
_WITHOUT_WITHDRAWN = [verdict for verdict in Verdict if verdict is not Verdict.WITHDRAWN]


def page() -> None:
    """Draw the page; only the open tab is worked out."""
    with heading("Dataset"):
        if st.button("Import", icon=":material/upload_file:"):
            import_dialog()
    items, built = st.tabs(["Items", "Versions"], key="dataset-tab", on_change="rerun")
    if items.open:
        with items, errors.shown():
            _items()
    if built.open:
        with built, errors.shown():
            versions.draw()


def _items() -> None:
    with get_database().read() as found:
        service = CurationService(found)
        looks = labels.load(found, session.project_id())
        sources = service.sources(session.project_id())
    if not sources:
        _no_items()
        return
    left, right = st.columns((2, 10), gap="medium")
    with left:
        chosen = _filters(looks, sources)
    with right:
        _list(chosen, looks, posts=sum(sources.values()))


def _no_items() -> None:
    pressed = empty(
        "No items yet",
        "Posts come in from a file: CSV, TSV, JSON, JSONL, Parquet or XLSX, with or without labels.",
        icon=":material/upload_file:",
        action="Import posts",
        key="items",
    )
    if pressed:
        import_dialog()


def _filters(looks: Looks, sources: dict[str, int]) -> ItemFilter:
    search = st.text_input(
        "Search", placeholder="words or an id", icon=":material/search:", key="items-search"
    )
    split = _choice("Split", {split: words.SPLITS[split] for split in Split})
    category = _choice(
        "Category", {NONE: labels.NO_VIOLATION} | {code: looks.name(code) for code in looks.codes}
    )
    verdict = _choice("Verdict", {verdict: words.VERDICTS[verdict] for verdict in _WITHOUT_WITHDRAWN})
    agreement = _choice("Teacher and people", {each: words.AGREEMENTS[each] for each in Agreement})
    reviewed = _choice("Reviewed here", {"yes": "yes", "no": "not yet"})
    source = None
    if len(sources) > 1:
        source = _choice("Source", {name: name or "not known" for name in sources})
    return ItemFilter(
        search=(search or "").strip() or None,
        split=split,
        category=category,
        verdict=verdict,
        agreement=agreement,
        source=source,
        unreviewed=None if reviewed is None else reviewed == "no",
    )


def _choice(label: str, options: Mapping[_T, str]) -> _T | None:
    return st.selectbox(
        label,
        list(options),
        index=None,
        placeholder="any",
        format_func=lambda each: options[each],
        key=f"items-{label}",
    )


def _list(chosen: ItemFilter, looks: Looks, *, posts: int) -> None:
    filtered = (session.project_id(), chosen)
    place = pager("items", of=filtered)
    with get_database().read() as found:
        listed = CurationService(found).items(session.project_id(), chosen, after=place.after, limit=_SIZE)
    if not place.starts:
        # Counted on the first page only, and kept for those after it.
        st.session_state["items total"] = listed.total
    total: int | None = st.session_state.get("items total")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_shown(listed, place, total), width="stretch")
        export.decisions(posts)
    if not listed.rows:
        st.caption("No item is like that. Take back a filter on the left.")
        return
    project = session.project()
    pressed = opened(
        [_row(row, looks, blur=project is not None and project.blur) for row in listed.rows],
        heads=["Post", "Labels", "Teacher", "Decision", "Split"],
        widths="minmax(0, 1fr) 7rem 8rem 6.6rem 4.6rem",
        key="items",
    )
    place.buttons(listed.next_after)
    if pressed is not None:
        item.show(pressed)


def _shown(listed: ItemPage, place: Pager, total: int | None) -> str:
    first = place.page * _SIZE + 1
    of = "many items" if total is None else numbers.things(total, "item")
    if not listed.rows:
        return "No items"
    return f"**{numbers.count(first)}–{numbers.count(first + len(listed.rows) - 1)}** of {of}"


def _row(row: ItemRow, looks: Looks, *, blur: bool) -> Row:
    cells = (
        one_line(row.excerpt, blur=blur),
        looks.chips(row.labels),
        _teacher(row, looks),
        faint(_decision(row)),
        faint(words.SPLITS[row.split]),
    )
    return Row(row.id, cells, name=f"Open {row.external_id}")


def _teacher(row: ItemRow, looks: Looks) -> Markup:
    if row.agreement is Agreement.INVALID:
        return faint("unreadable")
    chips = looks.chips(row.teacher_labels)
    if row.agreement not in DIFFERING:
        return chips
    differs = Markup('<span class="ov-differs" title="{}">≠</span> ').format(words.AGREEMENTS[row.agreement])
    return differs + chips


def _decision(row: ItemRow) -> str:
    if row.verdict is not None:
        return words.VERDICTS[row.verdict]
    return "none yet" if row.labels is None else "imported"


if session.project() is None:
    no_project("Dataset")
else:
    page()
