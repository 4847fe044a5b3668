"""Writing a decision: the right labels, what is quoted, and the reason."""

from __future__ import annotations

import streamlit as st
from markupsafe import Markup

from backend.db.models.review import Verdict
from backend.review.views import ReviewItem
from ui.components import desk, labels, session, text
from ui.components.desk import Draft, Mode

_SHORTCUTS = 9

# The field's code is loaded when it is first drawn, so the script waits for the field. Escape and
# Ctrl+Enter are heard inside it too, and a field hands its words on only when it is left.
_FIELD = """<script>/* {item} */
(function begin(tries) {{
  const field = document.querySelector('.st-key-{key} textarea');
  if (!field) {{ if (tries) setTimeout(() => begin(tries - 1), 50); return; }}
  field.addEventListener('keydown', event => {{
    const saves = event.key === 'Enter' && (event.ctrlKey || event.metaKey);
    if (event.key === 'Escape' || saves) field.blur();
    if (saves) setTimeout(() => document.querySelector('.st-key-ov-verdicts button')?.click(), 50);
  }});
  if ({focus}) {{ field.focus(); field.setSelectionRange(field.value.length, field.value.length); }}
}})(40)</script>"""


def editor(item: ReviewItem, current: Draft, looks: labels.Looks) -> None:
    """Draw what is being written."""
    chosen = current.labels
    if current.mode is Mode.REASON and item.answer and item.replaced_by(item.answer.labels) is None:
        text.show(_REASON_FOR.format(looks.chips(chosen), _gold(item, looks)))
    else:
        _chips(item, current, looks)
    if chosen:
        st.multiselect(
            "Quoted from the post",
            list(dict.fromkeys([*desk.quotes(item), *desk.quoted(item, current)])),
            default=desk.quoted(item, current),
            accept_new_options=True,
            key=desk.quotes_key(item),
            on_change=desk.keep_quotes,
            args=(item,),
            placeholder="Type a passage of the post and press Enter",
        )
    if chosen is not None:
        _reason(item, current, looks)
    replaces("Saving", item, chosen, looks)
    if chosen is not None:
        _look_after(item, current)


def replaces(what: str, item: ReviewItem, chosen: tuple[str, ...] | None, looks: labels.Looks) -> None:
    """Say which people's labels would give way to these; nothing where none would."""
    decided = item.replaced_by(chosen)
    if decided is not None:
        text.show(_REPLACES.format(what, decided.whose, looks.chips(decided.labels), looks.chips(chosen)))


_REPLACES = Markup('<div class="ov-small">{} replaces {}: {} → {}</div>')
_REASON_FOR = Markup('<div class="ov-label">A better reason for {}{}</div>')
_SAID = Markup(' <span class="ov-faint">{}</span> {}')


def _gold(item: ReviewItem, looks: labels.Looks) -> Markup:
    return Markup("") if item.gold_labels is None else _SAID.format("gold", looks.chips(item.gold_labels))


def _chips(item: ReviewItem, current: Draft, looks: labels.Looks) -> None:
    heading, whose = ("Labels", "teacher") if current.mode is Mode.REASON else ("Right labels", "not")
    teacher = _SAID.format(whose, looks.chips(item.answer.labels)) if item.answer else Markup("")
    text.show(Markup('<div class="ov-label">{}{}{}</div>').format(heading, teacher, _gold(item, looks)))
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
        help="Ctrl+Enter saves from here, ⌘+Enter on a Mac; so does S once the field is left with Tab.",
    )


def _look_after(item: ReviewItem, current: Draft) -> None:
    """Keep the reason's words, and put the cursor there where it is what the key was pressed for."""
    key, focus = desk.reason_key(item, current), "true" if current.mode is Mode.REASON else "false"
    with st.container(key="ov-focus"):
        st.html(_FIELD.format(item=item.id, key=key, focus=focus), unsafe_allow_javascript=True)


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
    second.button(
        "Back",
        shortcut="Esc",
        width="stretch",
        key=desk.key("back", item),
        on_click=desk.go_back,
        args=(item,),
    )
    first.button(
        "Compose anew" if current.teachers_words else "Teacher's words",
        shortcut="P",
        width="stretch",
        key=desk.key("words", item),
        on_click=desk.swap_words,
        args=(item,),
        disabled=current.labels is None,
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
