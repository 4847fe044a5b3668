"""What an import asks beside the columns: where to, what means no violation, whose answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.intake.columns import Purpose
from backend.intake.reports import Preview
from backend.intake.service import IntakeService
from ui.components import import_set, numbers, session, text
from ui.components.import_set import Knows

_NO_LABEL = "– none of them"
_NEW = "A new project"
_MOST_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Options:
    """What was chosen.

    Attributes:
        project: the number of the project to import posts into, or a new one's name.
        name: the evaluation set's name.
        positive: in a set that knows only yes and no, the labels that mean yes.
        none_label: the label that means no violation; None leaves it to be guessed.
        add_categories: whether unknown labels become categories of a new policy version.
        model: the teacher's name, where the file does not say it.
        label_map: in a set with labels of its own, the label that stands for each category.
        language: the set's.
    """

    project: str = ""
    name: str = ""
    positive: tuple[str, ...] | None = None
    none_label: str | None = None
    add_categories: bool = False
    model: str | None = None
    label_map: dict[str, str] | None = None
    language: str | None = None


def options_form(found: Preview, purpose: Purpose, file_name: str, key: str) -> Options | None:
    """Draw what the import asks; None while something is missing."""
    if purpose is Purpose.ANSWERS:
        return Options(model=_model(found, key))
    # Drawn last: what the options say decides which labels are known.
    above = st.container()
    if purpose is Purpose.SET:
        return _set_options(found, file_name, key, above)
    left, right = st.columns(2, gap="small")
    with left:
        project = _project(file_name, key)
    with right:
        none_label = _none_label(found, key)
    known = session.project() is not None and project == str(session.project_id())
    add = known and st.checkbox(
        "Add labels that the policy does not know as new categories", key=f"{key}-add"
    )
    unknown = _unknown(found, none_label) if known else ()
    with above:
        _labels(found, unknown)
    if unknown:
        become = "They become categories of a new policy version." if add else _LEFT_OUT
        text.show(_UNKNOWN.format(_listed(unknown), become))
    model = _model(found, key) if found.mapping.has_answers else None
    options = Options(project=project, none_label=none_label, add_categories=add, model=model)
    return options if project else None


def _set_options(
    found: Preview, file_name: str, key: str, above: st.delta_generator.DeltaGenerator
) -> Options | None:
    name, language = import_set.name_and_language(file_name, key)
    left, right = st.columns(2, gap="small")
    with left:
        knows = import_set.what_it_knows(key)
    with right:
        if knows is Knows.YES_NO:
            positive, none_label = import_set.positive(found, key), None
        else:
            positive, none_label = None, _none_label(found, key)
    label_map = import_set.own_labels(found.labels, none_label, key) if knows is Knows.OWN else None
    unknown = _unknown(found, none_label) if knows is Knows.POLICY else ()
    with above:
        _labels(found, unknown)
    if unknown:
        text.show(_UNKNOWN.format(_listed(unknown), _LEFT_OUT))
    options = Options(
        name=name, positive=positive, none_label=none_label, label_map=label_map, language=language
    )
    complete = positive != () and (label_map is not None or knows is not Knows.OWN)
    return options if name and complete else None


def _model(found: Preview, key: str) -> str | None:
    if found.mapping.answer_model is not None:
        return None
    return st.text_input("The teacher's name", "teacher", key=f"{key}-model").strip() or None


def _project(file_name: str, key: str) -> str:
    chosen = session.project()
    if chosen is not None:
        into = st.selectbox("Into", [chosen.name, _NEW], key=f"{key}-into")
        if into == chosen.name:
            return str(chosen.id)
    name = Path(file_name).stem.replace("_", " ").strip().capitalize()[:200]
    return st.text_input("Name of the new project", name, key=f"{key}-project").strip()


def _none_label(found: Preview, key: str) -> str | None:
    if not found.labels:
        return None
    options = list(found.labels) if found.none_label is not None else [_NO_LABEL, *found.labels]
    guess = options.index(found.none_label) if found.none_label in options else 0
    label = st.selectbox("Which label means “no violation”", options, index=guess, key=f"{key}-none")
    return None if label == _NO_LABEL else label


def _unknown(found: Preview, none_label: str | None) -> tuple[str, ...]:
    with get_database().read() as database:
        return IntakeService(database).unknown_labels(session.project_id(), found.labels, none_label)


def _labels(found: Preview, unknown: Collection[str]) -> None:
    if not found.labels:
        return
    chips = [
        _CHIP.format("unknown" if label in unknown else "cx", text.literal(label), numbers.count(number))
        for label, number in list(found.labels.items())[:_MOST_SHOWN]
    ]
    heading = Markup('<div class="ov-small ov-faint">Labels in the rows that were looked at</div>')
    text.show(heading + Markup(" ").join(chips))


_CHIP = Markup('<span class="ov-chip ov-{}">{} {}</span>')
_UNKNOWN = Markup('<div class="ov-small">Not in the policy: <b>{}</b>. {}</div>')
_LEFT_OUT = "Rows with such a label are reported and left out."


def _listed(labels: Sequence[str]) -> Markup:
    named = Markup(", ").join(text.literal(label) for label in labels[:_MOST_SHOWN])
    more = len(labels) - _MOST_SHOWN
    return named + Markup(" and {} more").format(numbers.count(more)) if more > 0 else named
