"""What the import of an evaluation set asks: its name and language, and what its labels mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import streamlit as st

from backend.db.engine import get_database
from backend.errors import InvalidInputError
from backend.intake.labels import slug
from backend.intake.reports import Preview
from backend.intake.sets import check_language
from backend.policies.service import PolicyService
from ui.components import session, text


class Knows(StrEnum):
    """What a set's labels are."""

    POLICY = "The policy's categories"
    YES_NO = "Only yes or no"
    OWN = "Its own"


def name_and_language(file_name: str, key: str) -> tuple[str, str | None]:
    """The set's name, and the posts' language where it is given."""
    left, right = st.columns((3, 1), gap="small")
    name = left.text_input("Name of the set", Path(file_name).stem[:200], key=f"{key}-name").strip()
    tag = right.text_input(
        "Language",
        key=f"{key}-language",
        placeholder="en",
        help="The posts' language as a tag: en, de, pt-BR.",
    )
    try:
        return name, check_language(tag)
    except InvalidInputError as error:
        st.caption(f":material/warning: {text.label(str(error))} {text.label(error.hint)}")
        return "", None


def what_it_knows(key: str) -> Knows:
    """Whether its labels are the policy's."""
    return st.segmented_control(
        "Its labels are",
        list(Knows),
        default=Knows.POLICY,
        format_func=lambda each: each.value,
        required=True,
        key=f"{key}-knows",
        help="A set that only knows other labels can still judge this policy's models: say which label "
        "breaks a rule, or which categories a label stands for.",
    )


def positive(found: Preview, key: str) -> tuple[str, ...]:
    """In a yes/no set, the labels that mean yes."""
    guess = [label for label in found.labels if label != found.none_label][:1]
    labels = list(found.labels)
    return tuple(st.multiselect("Labels that mean a violation", labels, default=guess, key=f"{key}-positive"))


def own_labels(labels: Collection[str], none_label: str | None, key: str) -> dict[str, str] | None:
    """Which of the policy's categories each of the set's labels stands for; None where that cannot be."""
    names = _categories()
    own = [label for label in labels if label != none_label]
    chosen: dict[str, Sequence[str]] = {}
    for label in own:
        chosen[label] = st.multiselect(
            f"“{text.label(label)}” stands for",
            list(names),
            default=_guess(label, own, names),
            format_func=lambda code: names[code],
            placeholder="No category: models are not judged on it",
            key=f"{key}-stands-{slug(label)}",
        )
    twice = [names[code] for code in names if sum(code in codes for codes in chosen.values()) > 1]
    if twice:
        st.caption(f":material/warning: Choose one label for each category: {text.label(', '.join(twice))}.")
        return None
    return {code: label for label, codes in chosen.items() for code in codes} or None


def _guess(label: str, own: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The category of this name; all of them where the set knows only one label."""
    if len(own) == 1:
        return list(names)
    return [code for code, name in names.items() if slug(label) in (code, slug(name))]


def _categories() -> dict[str, str]:
    with get_database().read() as found:
        policies = PolicyService(found)
        policy = policies.training_policy(policies.newest(session.project_id()))
    return {category.code: category.name for category in policy.categories}
