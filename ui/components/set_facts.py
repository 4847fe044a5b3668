"""What an evaluation set is, in one line, and the set that can be made from it."""

from __future__ import annotations

import streamlit as st

from backend.db.engine import get_database
from backend.db.models import EvaluationSet
from backend.db.models.evaluation import SetOrigin
from backend.evaluation.few import few_posts
from backend.evaluation.set_service import SetService
from backend.evaluation.sets import called
from ui.components import errors, numbers, session, text


def draw(shown: EvaluationSet, *, evaluated: bool) -> None:
    """Its version, posts and language, whether these are enough, and the button to disguise it."""
    with get_database().read() as found:
        service = SetService(found)
        source = service.source(shown)
        can_be_disguised = shown.origin is not SetOrigin.ROBUSTNESS and service.made_from(shown.id) is None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(" · ".join(_facts(shown, source)))
        if evaluated and can_be_disguised:
            st.button(
                "Make a robustness set",
                icon=":material/theater_comedy:",
                type="tertiary",
                key=f"disguise-{shown.id}",
                help="The same posts as people disguise them: with look-alike letters, spaces, digits for "
                "letters, odd capitals, and emoji. What it costs a model is shown beside its figures.",
                on_click=_disguise,
                args=(shown.id,),
            )
    if few := few_posts(shown.rows):
        st.info(few, icon=":material/scatter_plot:")


def _facts(shown: EvaluationSet, source: EvaluationSet | None) -> list[str]:
    facts = [f"Version {shown.number}", numbers.things(shown.rows, "post")]
    if source is not None:
        facts[1] += f" of {text.label(called(source))}, version {source.number}"
    if shown.language:
        facts.append(f"language {text.label(shown.language)}")
    for label in dict.fromkeys((shown.label_map or {}).values()):
        codes = [code for code, mapped in (shown.label_map or {}).items() if mapped == label]
        facts.append(text.label(f"“{label}” stands for {', '.join(codes)}"))
    return facts


def _disguise(set_id: int) -> None:
    with errors.kept(), get_database().write() as found:
        SetService(found).robustness_set(set_id, session.person())
