"""Dataset versions: which there could be, which there are, and what each one teaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from markupsafe import Markup

from backend.base_models import display_name, local_folder
from backend.curation.service import CurationService
from backend.curation.variation import Variation
from backend.curation.views import USE_UNANSWERED, USE_UNVERIFIED, HandlingPreview, TaughtRow
from backend.db.engine import get_database
from backend.db.models import DatasetVersion
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.settings import get_settings
from training.prompt import FORMS, Form
from ui.components import errors, export, figures, labels, numbers, session, text, words
from ui.components.labels import Looks
from ui.components.pager import pager
from ui.components.pages import go
from ui.components.rows import Row, faint, one_line, opened

_OPEN = "open version"
_SIZE = 25
_FORMS: dict[Form, str] = {
    "direct": "Labels only",
    "reasoned": "Reason, then labels",
    "explained": "Labels, then reason",
}
_ORIGINS = {"teacher": "teacher", "recheck": "recheck", "people": "people"}


def draw() -> None:
    """The tab: one open version, or all of them below what could be built."""
    with get_database().read() as found:
        service = CurationService(found)
        versions = service.versions(session.project_id())
        looks = labels.load(found, session.project_id())
    chosen = next((each for each in versions if each.id == st.session_state.get(_OPEN)), None)
    if chosen is not None:
        _version(chosen, looks)
        return
    _build(looks)
    if versions:
        st.markdown("### Versions", anchors=False)
        _list(versions)


def _build(looks: Looks) -> None:
    st.markdown("### A new version", anchors=False)
    st.caption(
        "A version freezes what a student learns. The choice is what becomes of the posts where the "
        "teacher is wrong, that is, says something else than people decided."
    )
    left, right = st.columns((6, 5), gap="large")
    unverified = bool(st.session_state.get("include-unverified", False))
    unanswered = bool(st.session_state.get("include-unanswered", False))
    with st.spinner("Counting what there is to learn"), get_database().read() as found:
        previews = CurationService(found).preview(
            session.project_id(), include_unverified=unverified, include_unanswered=unanswered
        )
    with left:
        picked = st.radio(
            "What becomes of wrong answers",
            list(Handling),
            index=list(Handling).index(Handling.REVIEW),
            format_func=lambda each: (
                f"{words.handling(each)} · {numbers.things(previews[each].total, 'row')}"
            ),
            captions=[words.HANDLINGS[each][1] for each in Handling],
            key="handling",
        )
        handling = picked or Handling.REVIEW
        st.checkbox(
            USE_UNVERIFIED,
            key="include-unverified",
            help="Their labels may be wrong. “Keep” uses them in any case.",
        )
        if handling is Handling.REVIEW:
            st.checkbox(
                USE_UNANSWERED,
                key="include-unanswered",
                help="They have labels but no reason, so they are learned in the direct form only.",
            )
        st.button(
            "Build version",
            type="primary",
            icon=":material/inventory_2:",
            on_click=_make,
            args=(handling, unverified, unanswered and handling is Handling.REVIEW),
            disabled=not previews[handling].total,
            key="build",
        )
    with right, st.container(border=True):
        _preview(previews[handling], looks)


def _make(handling: Handling, unverified: bool, unanswered: bool) -> None:
    with errors.kept():
        # Looked for beforehand, because while a version is built nobody else can write.
        with get_database().read() as found:
            CurationService(found).look_for_leaks(session.project_id())
        with get_database().write() as found:
            built = CurationService(found).build(
                session.project_id(),
                handling,
                include_unverified=unverified,
                include_unanswered=unanswered,
                person=session.person(),
            )
        st.session_state[_OPEN] = built.version.id
        if built.created:
            st.toast(f"Built version {built.version.number}.", icon=":material/check:")
        else:
            st.toast(f"Nothing has changed since version {built.version.number}; here it is.")


def _preview(preview: HandlingPreview, looks: Looks) -> None:
    text.show(_facts({split.value: rows for split, rows in preview.rows.items()}, preview.reasoned))
    _labels_and_losses(preview.labels, preview.none, preview.left_out, looks)
    for warning in preview.warnings:
        st.warning(text.label(warning), icon=":material/warning:")


def _facts(rows: Mapping[str, int], reasoned: int) -> Markup:
    return figures.facts(
        [
            (numbers.count(rows.get(Split.TRAIN.value, 0)), "rows to learn"),
            (numbers.count(rows.get(Split.VALIDATION.value, 0)), "rows to validate"),
            (numbers.count(reasoned), "with a reason"),
        ]
    )


def _labels_and_losses(
    counts: Mapping[str, int], none: int, left_out: Mapping[str, int], looks: Looks
) -> None:
    most = max([*counts.values(), none, 1])
    shown = [(looks.chip(code), rows) for code, rows in counts.items()] + [(labels.none_chip(), none)]
    text.show(figures.bars([(chip, rows, rows / most) for chip, rows in shown]))
    if left_out:
        text.show(Markup('<div class="ov-small ov-faint">Left out</div>'))
        text.show(figures.pairs([(numbers.count(rows), text.literal(why)) for why, rows in left_out.items()]))


def _list(versions: Sequence[DatasetVersion]) -> None:
    pressed = opened(
        [_line(version) for version in versions],
        heads=["Version", "Wrong answers", "Rows", "With a reason", "Built"],
        widths="6rem minmax(0, 1fr) 6rem 7rem 12rem",
        key="versions",
    )
    if pressed is not None:
        st.session_state[_OPEN] = pressed
        st.rerun()


def _line(version: DatasetVersion) -> Row:
    cells = (
        Markup("Version {}").format(version.number),
        _handled(version),
        Markup(numbers.count(sum(version.counts["rows"].values()))),
        Markup(numbers.count(version.counts["reasoned"])),
        faint(f"{numbers.moment(version.created_at)}, {version.created_by}"),
    )
    return Row(version.id, cells, name=f"Open version {version.number}")


def _handled(version: DatasetVersion) -> Markup:
    with_these = [
        name
        for name, included in (
            ("undecided answers", version.include_unverified),
            ("unanswered posts", version.include_unanswered),
        )
        if included
    ]
    more = [f"with {' and '.join(with_these)}"] if with_these else []
    more += Variation(**version.counts.get("variation", {})).words
    said = faint(f" {', '.join(more)}") if more else Markup("")
    return Markup("{}{}").format(words.handling(version.handling), said)


def _version(version: DatasetVersion, looks: Looks) -> None:
    st.button(
        "All versions", icon=":material/arrow_back:", type="tertiary", on_click=_close, key="close-version"
    )
    name, steps = st.columns((3, 2), vertical_alignment="center")
    name.markdown(f"### Version {version.number}", anchors=False)
    with steps.container(horizontal=True, horizontal_alignment="right"):
        export.version(version)
        if st.button("Train on it", type="primary", icon=":material/model_training:", key="train-on"):
            st.session_state["version"] = version.id
            go("training")
    st.caption(
        f"{words.handling(version.handling)}: {words.HANDLINGS[version.handling][1]} "
        f"Built by {text.label(version.created_by)}, {numbers.stamp(version.created_at)}; it never changes."
    )
    counts: Mapping[str, Any] = version.counts
    text.show(_facts(counts["rows"], counts["reasoned"]))
    with st.expander("Categories, and what is left out", icon=":material/filter_alt:"):
        _labels_and_losses(counts["labels"], counts["none"], counts["left_out"], looks)
    for warning in counts.get("warnings", []):
        st.warning(text.label(warning), icon=":material/warning:")
    _rows(version, looks)


def _close() -> None:
    st.session_state.pop(_OPEN, None)


def _rows(version: DatasetVersion, looks: Looks) -> None:
    split = st.segmented_control(
        "Rows",
        [Split.TRAIN, Split.VALIDATION],
        default=Split.TRAIN,
        format_func=lambda each: (
            f"{words.SPLITS[each].capitalize()} · {version.counts['rows'].get(each.value, 0):,}"
        ),
        required=True,
        label_visibility="collapsed",
        key=f"split-{version.id}",
    )
    place = pager(f"taught-{version.id}", of=split)
    with get_database().read() as found:
        page = CurationService(found).rows(version.id, split=split, after=place.after, limit=_SIZE)
    if not page.rows:
        st.caption("There is no such row.")
        return
    chosen = session.project()
    by_id = {row.item_id: row for row in page.rows}
    pressed = opened(
        [_taught_line(row, looks, blur=chosen is not None and chosen.blur) for row in page.rows],
        heads=["Post", "Labels", "From", "Taught"],
        widths="minmax(0, 1fr) 11rem 6rem 9rem",
        key="taught",
    )
    place.buttons(page.next_after, words="Open a row to see exactly what the student is taught.")
    if pressed is not None:
        _taught(version.id, by_id[pressed], looks)


def _taught_line(row: TaughtRow, looks: Looks, *, blur: bool) -> Row:
    cells = (
        one_line(row.excerpt, blur=blur),
        looks.chips(row.labels),
        faint(_ORIGINS.get(row.origin, row.origin)),
        faint("reason and labels" if row.reasoned else "labels only"),
    )
    return Row(row.item_id, cells, name=f"What is taught of {row.external_id}")


@st.dialog("What the student is taught", width="large")
def _taught(version_id: int, row: TaughtRow, looks: Looks) -> None:
    with errors.shown():
        forms: list[Form] = list(FORMS) if row.reasoned else ["direct"]
        default: Form = "reasoned" if row.reasoned else "direct"
        form = st.segmented_control(
            "Form",
            forms,
            default=default,
            format_func=_FORMS.__getitem__,
            required=True,
            label_visibility="collapsed",
            key=f"form-{row.item_id}",
        )
        settings = get_settings()
        folder = local_folder(settings.base_model, settings)
        if folder is None:
            st.info(
                "Tokens are the base model's, which is not on this computer yet. "
                "`overrule models pull` fetches it.",
                icon=":material/download:",
            )
            return
        with get_database().read() as found:
            segments = CurationService(found).taught(version_id, row.item_id, form or default, folder)
        learned = sum(segment.learned for segment in segments)
        text.show(
            Markup('<div class="ov-tokens">{}</div>').format(
                text.learned((segment.text, segment.learned) for segment in segments)
            )
        )
        st.caption(
            f"Grey is given, coloured is learned: the loss counts these "
            f"{numbers.things(learned, 'token')} alone. "
            f"Tokens of {text.label(display_name(settings.base_model))}."
        )
