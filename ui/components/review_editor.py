"""Writing a decision: the right labels, what is quoted, and the reason."""

from __future__ import annotations

import streamlit as st
from markupsafe import Markup

from backend.db.models.review import Verdict
from backend.review.views import ReviewItem
from ui.components import desk, labels, session, text
from ui.components.desk import Draft, Mode

_SHORTCUTS = 9

_FOCUS = """<script>/* {item} */
(function focus(tries) {{
  const field = document.querySelector('.st-key-{key} textarea');
  if (field) {{ field.focus(); field.setSelectionRange(field.value.length, field.value.length); }}
  else if (tries) setTimeout(() => focus(tries - 1), 50);
}})(40)</script>"""


def editor(item: ReviewItem, current: Draft, looks: labels.Looks) -> None:
    """Draw what is being written."""
    chosen = current.chosen(item)
    if current.mode is Mode.REASON and chosen is not None:
        text.show(Markup('<div class="ov-label">A better reason for</div>') + looks.chips(chosen))
    else:
        _chips(item, current, looks)
    if chosen:
        st.multiselect(
            "Quoted from the post",
            desk.quotes(item),
            default=desk.quotes(item),
            accept_new_options=True,
            key=desk.quotes_key(item),
            placeholder="Type a passage of the post and press Enter",
        )
    if chosen is not None:
        _reason(item, current, looks)


def _chips(item: ReviewItem, current: Draft, looks: labels.Looks) -> None:
    said = [
        Markup(' <span class="ov-faint">{}</span> {}').format(who, looks.chips(codes))
        for who, codes in (
            ("not", item.answer.labels if item.answer else None),
            ("gold", item.gold_labels),
        )
        if codes is not None
    ]
    text.show(Markup('<div class="ov-label">Right labels {}</div>').format(Markup(" ").join(said)))
    with st.container(key="ov-picks", horizontal=True, gap="xsmall"):
        for number, code in enumerate(looks.current, start=1):
            on = code in (current.labels or ())
            position = looks.position(code)
            st.button(
                text.label(looks.name(code)),
                key=desk.key(f"ov-pick-c{position}-{code}", item),
                shortcut=str(number) if number <= _SHORTCUTS else None,
                type="primary" if on else "secondary",
                on_click=desk.toggle,
                args=(item, code),
            )
        st.button(
            "No violation",
            key=desk.key("ov-pick-none", item),
            shortcut="0",
            type="primary" if current.labels == () else "secondary",
            on_click=desk.choose_none,
            args=(item,),
        )


def _reason(item: ReviewItem, current: Draft, looks: labels.Looks) -> None:
    key = desk.reason_key(item, current)
    st.session_state[key] = desk.offer(item, current, looks)
    st.text_area(
        "Reason",
        key=key,
        height=112,
        on_change=desk.mark_edited,
        args=(item,),
        help="Tab, then Enter saves.",
    )
    if current.mode is Mode.REASON:
        _focus(key, item)


def _focus(key: str, item: ReviewItem) -> None:
    """Put the cursor into the reason, since writing it is what this key was pressed for."""
    with st.container(key="ov-focus"):
        # The field's code is loaded when it is first drawn, so the script waits for the field.
        st.html(_FOCUS.format(item=item.id, key=key), unsafe_allow_javascript=True)


def saving(item: ReviewItem, current: Draft) -> None:
    """Draw the buttons under the editor."""
    with st.container(key="ov-verdicts"):
        save, first, second, tell, discard = st.columns([2, 1, 1, 1, 1], gap="small")
    save.button(
        "Save",
        # Enter would save even where the focus is on another button, so that it has a letter like the rest.
        shortcut="S",
        type="primary",
        width="stretch",
        key=desk.key("save", item),
        on_click=desk.ask_to_save,
        args=(item,),
    )
    if item.answer is None:
        dropping(item, tell, discard)
        return
    second.button("Back", shortcut="Esc", width="stretch", key=desk.key("back", item), on_click=desk.leave)
    first.button(
        "Compose anew" if current.teachers_words else "Teacher's words",
        shortcut="P",
        width="stretch",
        key=desk.key("words", item),
        on_click=desk.swap_words,
        args=(item,),
        disabled=current.chosen(item) is None,
    )


def dropping(
    item: ReviewItem, tell: st.delta_generator.DeltaGenerator, discard: st.delta_generator.DeltaGenerator
) -> None:
    """Draw the two verdicts that need nothing more."""
    tell.button(
        "Can't tell",
        shortcut="T",
        width="stretch",
        key=desk.key("tell", item),
        on_click=desk.decide,
        args=(item, Verdict.CANNOT_TELL, session.browser_id()),
    )
    discard.button(
        "Discard",
        shortcut="D",
        width="stretch",
        key=desk.key("discard", item),
        on_click=desk.decide,
        args=(item, Verdict.DISCARD, session.browser_id()),
    )
