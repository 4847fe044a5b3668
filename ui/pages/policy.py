"""Policy: the rules as a document, the next version, what versions changed, and the team's word list."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.db.models import PolicyVersion
from backend.errors import InvalidInputError
from backend.policies.service import CategoryCount, ChangeKind, PolicyService, compare
from training.policy import Category
from ui.components import errors, labels, numbers, policy_edit, policy_text, session, text, word_list
from ui.components.empty import empty
from ui.components.pages import go


def draw() -> None:
    """Draw the page."""
    if session.project() is None:
        st.title("Policy", anchor=False)
        if empty(
            "No policy yet", "Importing posts makes a project with a first policy.", action="Go to Overview"
        ):
            go("overview")
        return
    with get_database().read() as database:
        policies = PolicyService(database)
        versions = policies.versions(session.project_id())
        newest = policies.training_policy(versions[0])
        counts = policies.counts(session.project_id())
        looks = labels.load(database, session.project_id())
        yaml = policies.to_yaml(versions[0])
    current = policy_edit.draft()
    _heading(versions[0], newest.categories, yaml, writing=current is not None)
    if current is not None:
        policy_edit.editor(current, counts, versions[0].number + 1)
        return
    rules, history, words = st.tabs(["Rules", "Versions", "Word list"], key="policy-tab", on_change="rerun")
    with rules:
        text.show(policy_text.document(newest.categories, counts, looks))
    with history:
        _history(versions, looks)
    with words:
        word_list.draw(newest.categories, looks)


def _heading(newest: PolicyVersion, categories: Sequence[Category], yaml: str, *, writing: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Policy", anchor=False, width="content")
        said = f"version {newest.number} · {numbers.moment(newest.created_at)}"
        text.show(Markup('<span class="ov-faint">{}</span>').format(said))
        st.space("stretch")
        if writing:
            return
        st.download_button(
            "YAML",
            yaml,
            _file_name(newest.number),
            "application/yaml",
            icon=":material/download:",
            on_click="ignore",
        )
        if st.button("Import", icon=":material/upload_file:"):
            _import_dialog(categories)
        st.button(
            "Edit", icon=":material/edit:", type="primary", on_click=policy_edit.begin, args=(categories,)
        )


def _file_name(number: int) -> str:
    chosen = session.project()
    name = re.sub(r"[^\w-]+", "-", chosen.name if chosen else "").strip("-").lower()
    return f"{name or 'policy'}-policy-{number}.yaml"


@st.dialog("Import a policy", width="large", icon=":material/upload_file:")
@errors.shown()
def _import_dialog(categories: Sequence[Category]) -> None:
    st.caption("A YAML file that lists `categories` with code, name, definition and examples.")
    file = st.file_uploader("File", type=["yaml", "yml"], label_visibility="collapsed")
    if file is None:
        return
    try:
        content = file.getvalue().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError("This is not a text file in UTF-8.", "Save it as UTF-8 YAML.") from error
    with get_database().read() as database:
        policies = PolicyService(database)
        wanted = policies.categories_from_yaml(content)
        counts = policies.counts(session.project_id())
        looks = labels.load(database, session.project_id())
    changes = compare(categories, wanted)
    text.show(policy_text.differences(changes, looks))
    if not changes:
        return
    gone = [change.code for change in changes if change.kind is ChangeKind.REMOVED]
    others = {category.code: category.name for category in wanted}
    fates = {
        code: policy_edit.fate(code, looks.name(code), counts.get(code, CategoryCount()).decided, others)
        for code in gone
    }
    note = st.text_input("What changed, and why", f"Imported from {file.name}.")
    if st.button("Make it the next version", type="primary"):
        policy_edit.save(wanted, note, fates)
        st.rerun()


def _history(versions: Sequence[PolicyVersion], looks: labels.Looks) -> None:
    rows = [
        _VERSION.format(
            version.number,
            numbers.moment(version.created_at),
            text.literal(version.created_by),
            numbers.things(len(version.categories), "category", "categories"),
            text.literal(version.note),
        )
        for version in versions
    ]
    text.show(_VERSIONS.format(Markup("").join(rows)))
    if len(versions) == 1:
        st.caption("A version never changes. The next one can be compared with this one here.")
        return
    by_number = {version.number: version for version in versions}
    with st.container(horizontal=True, vertical_alignment="bottom", key="ov-diff"):
        old = st.selectbox(
            "What changed from", list(by_number), index=1, width=160, format_func=_named, key="from"
        )
        new = st.selectbox("to", list(by_number), index=0, width=160, format_func=_named, key="to")
    with get_database().read() as database:
        changes = PolicyService(database).diff(by_number[old], by_number[new])
    text.show(policy_text.differences(changes, looks))


def _named(number: int) -> str:
    return f"Version {number}"


_VERSIONS = Markup(
    '<table class="ov-table ov-left"><thead><tr><th>Version</th><th>When</th><th>Who</th><th>Rules</th>'
    "<th>What changed</th></tr></thead><tbody>{}</tbody></table>"
)
_VERSION = Markup("<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>")


draw()
