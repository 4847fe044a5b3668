"""Writing the next version of a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st
from pydantic import ValidationError

from backend.db.engine import get_database
from backend.errors import InvalidInputError
from backend.intake.labels import slug
from backend.policies.service import CategoryCount, PolicyService
from training.policy import Category
from ui.components import errors, numbers, session, text

_DRAFT = "policy draft"
AGAIN = "Judge its posts again"


@dataclass(slots=True)
class Row:
    """One category as it is being written; `code` is empty while it is new."""

    number: int
    code: str = ""
    name: str = ""
    definition: str = ""
    examples: str = ""
    removed: bool = False
    fate: str | None = None


@dataclass(slots=True)
class Draft:
    """The next version as it is being written."""

    project_id: int
    rows: list[Row] = field(default_factory=list)
    note: str = ""


def begin(categories: Sequence[Category]) -> None:
    """Start from these categories."""
    rows = [
        Row(number, each.code, each.name, each.definition, "\n".join(each.examples))
        for number, each in enumerate(categories)
    ]
    st.session_state[_DRAFT] = Draft(session.project_id(), rows)


def draft() -> Draft | None:
    """What is being written on the chosen project's policy."""
    found: Draft | None = st.session_state.get(_DRAFT)
    return found if found is not None and found.project_id == session.project_id() else None


def leave() -> None:
    """Throw the draft away."""
    st.session_state.pop(_DRAFT, None)


def editor(current: Draft, counts: Mapping[str, CategoryCount], next_number: int) -> None:
    """Draw the draft, and what can be done with it."""
    for place, row in enumerate(current.rows):
        with st.container(key=f"ov-edit-{row.number}", border=True, gap="small"):
            if row.removed:
                _removed(current, row, counts)
            else:
                _fields(current, row, place)
    st.button("Add a category", icon=":material/add:", on_click=_add, args=(current,))
    with st.bottom.container(horizontal=True, vertical_alignment="center", key="ov-policy-save"):
        current.note = st.text_input(
            "What changed, and why",
            current.note,
            key="policy-note",
            placeholder="What changed, and why: others will read it beside the version",
            label_visibility="collapsed",
        )
        if st.button(f"Save as version {next_number}", type="primary"):
            _save(current)
        st.button("Discard the changes", on_click=leave)


def _fields(current: Draft, row: Row, place: int) -> None:
    left, right = st.columns([1, 2], gap="medium")
    key = f"policy-{row.number}"
    with left:
        row.name = st.text_input("Name", row.name, key=f"{key}-name", max_chars=200)
        with st.container(horizontal=True, gap="xsmall"):
            st.button(
                "",
                icon=":material/arrow_upward:",
                key=f"{key}-up",
                help="Move up",
                disabled=place == 0,
                on_click=_move,
                args=(current, place, -1),
            )
            st.button(
                "",
                icon=":material/arrow_downward:",
                key=f"{key}-down",
                help="Move down",
                disabled=place == len(current.rows) - 1,
                on_click=_move,
                args=(current, place, 1),
            )
            st.button(
                "Remove", icon=":material/delete:", key=f"{key}-remove", on_click=_remove, args=(current, row)
            )
    with right:
        row.definition = st.text_area("Definition", row.definition, key=f"{key}-definition", height=78)
        row.examples = st.text_area("Examples, one a line", row.examples, key=f"{key}-examples", height=78)


def _removed(current: Draft, row: Row, counts: Mapping[str, CategoryCount]) -> None:
    decided = counts.get(row.code, CategoryCount()).decided
    others = {each.code: each.name for each in current.rows if each.code and not each.removed}
    left, right = st.columns([2, 1], gap="medium", vertical_alignment="bottom")
    with left:
        row.fate = fate(row.code, row.name, decided, others)
    right.button(
        "Keep it", icon=":material/undo:", key=f"policy-{row.number}-keep", on_click=_keep, args=(row,)
    )


def fate(code: str, name: str, decided: int, others: Mapping[str, str]) -> str | None:
    """Ask what becomes of a removed category: the code that takes its place, or None to judge again."""
    chosen = st.selectbox(
        f"**{text.label(name)}** goes. What becomes of {numbers.things(decided, 'post')} that have it?",
        [None, *others],
        format_func=lambda other: AGAIN if other is None else f"Count them as {others[other]}",
        key=f"policy-fate-{code}",
    )
    return chosen if chosen in others else None


def _add(current: Draft) -> None:
    current.rows.append(Row(max((row.number for row in current.rows), default=-1) + 1))


def _move(current: Draft, place: int, by: int) -> None:
    rows = current.rows
    rows[place], rows[place + by] = rows[place + by], rows[place]


def _remove(current: Draft, row: Row) -> None:
    if row.code:
        row.removed = True
    else:
        current.rows.remove(row)


def _keep(row: Row) -> None:
    row.removed, row.fate = False, None


@errors.shown()
def _save(current: Draft) -> None:
    categories = written(current.rows)
    fates = {row.code: row.fate for row in current.rows if row.removed}
    save(categories, current.note, fates)
    leave()
    st.rerun()


def save(categories: Sequence[Category], note: str, fates: Mapping[str, str | None]) -> None:
    """Store the next version in one transaction."""
    with get_database().write() as database:
        PolicyService(database).create_version(
            session.project_id(), categories, note=note.strip(), person=session.person(), fates=fates
        )


def written(rows: Sequence[Row]) -> list[Category]:
    """The categories that were written; a new one's code comes from its name.

    Raises:
        InvalidInputError: a category cannot be used as it is written.
    """
    found: list[Category] = []
    for row in rows:
        if row.removed:
            continue
        try:
            found.append(
                Category(
                    code=row.code or slug(row.name),
                    name=row.name,
                    definition=" ".join(row.definition.split()),
                    examples=tuple(line.strip() for line in row.examples.splitlines() if line.strip()),
                )
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            named = f"“{row.name}”" if row.name.strip() else "A new category"
            raise InvalidInputError(f"{named} cannot be saved: {reason}.", "Change its name.") from error
    return found
