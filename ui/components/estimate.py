"""What a fine-tune will take, beside its settings and before it starts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from markupsafe import Markup

from backend.base_models import local_folder
from backend.db.engine import get_database
from backend.runs.cautions import Caution
from backend.runs.estimates import EstimateService
from backend.runs.speeds import measure
from backend.runs.views import Estimate, Phases
from backend.settings import get_settings
from training.job import Config
from ui.components import errors, figures, numbers, text
from ui.components.settings_form import Form

_KNOWN = "estimates"


def draw(version_id: int, form: Form, base_model: str, set_ids: Sequence[int], *, finished: int) -> bool:
    """Draw the estimate of one choice, which is worked out once; whether the run could end well.

    What makes a setting impossible is said under its box, all else that speaks against it here.

    Args:
        version_id: the dataset version.
        form: the settings, all of which can be.
        base_model: as it was chosen.
        set_ids: the evaluation sets that are scored.
        finished: how many runs have finished; another one may tell a better pace.

    Raises:
        InvalidInputError: the base model cannot be taught, or there is no such folder.
    """
    config = form.config
    if config is None:
        return False
    known: dict[object, Estimate] = st.session_state.setdefault(_KNOWN, {})
    key = (version_id, config, base_model, tuple(set_ids), finished)
    if key not in known:
        with get_database().read() as found:
            known[key] = EstimateService(found).estimate(version_id, config, base_model, set_ids)
    estimate = known[key]
    is_here = local_folder(base_model, get_settings()) is not None
    _time(estimate, is_here=is_here)
    text.show(figures.pairs(_facts(estimate, config)))
    possible = not any(caution.blocks for caution in estimate.cautions)
    if is_here and possible and not estimate.pace_alike:
        _measure_button(version_id, config, base_model)
    for caution in estimate.cautions:
        if caution.blocks and caution.setting is not None:
            form.refuse(caution.setting, caution.message, caution.hint)
        else:
            _caution(caution)
    return possible


def _time(estimate: Estimate, *, is_here: bool) -> None:
    if not is_here:
        st.caption(
            "The base model is not on this computer yet; it is fetched before the first step, and what "
            "it takes can be told from then on."
        )
    elif estimate.phases is None:
        st.markdown("How long it takes was **not measured on this computer yet**.")
    else:
        st.markdown(f"About **{numbers.duration(estimate.phases.total)}** in all")
        other = "" if estimate.pace_alike else ", which had other settings"
        st.caption(f"{_in_parts(estimate.phases)}; at the pace of {estimate.pace}{other}.")


def _in_parts(phases: Phases) -> str:
    parts = {
        "loading": phases.loading,
        "training": phases.training,
        "learning preferences": phases.preferring,
        "scoring": phases.scoring,
    }
    return ", ".join(f"{numbers.duration(seconds)} {name}" for name, seconds in parts.items() if seconds)


def _facts(estimate: Estimate, config: Config) -> list[tuple[str, Markup]]:
    examples = numbers.things(estimate.examples, "example")
    passes = numbers.things(config.epochs, "pass", "passes")
    facts = [("Learned from", f"{examples}, {passes}")]
    if estimate.steps is not None:
        facts[0] = ("Learned from", f"{examples}, {passes}: {numbers.things(estimate.steps, 'step')}")
    if estimate.tokens and estimate.peer_tokens and estimate.learned_tokens:
        times = f"{estimate.peer_tokens / estimate.tokens:.1f}"
        facts += [
            ("Learned tokens", f"{numbers.rough(estimate.learned_tokens)} a pass"),
            ("Computed tokens", f"{numbers.rough(estimate.tokens)} a pass"),
            ("Each post alone", f"{numbers.rough(estimate.peer_tokens)} a pass, {times} times as many"),
        ]
    if estimate.memory is not None:
        rough = "" if estimate.memory_measured else "roughly "
        free = numbers.size(estimate.memory_free)
        facts.append(("Memory", f"{rough}{numbers.size(estimate.memory)} of {free} free"))
    return [(name, Markup.escape(words)) for name, words in facts]


def _caution(caution: Caution) -> None:
    words = text.lines(caution.message, caution.hint)
    if caution.fatal:
        st.error(words, icon=":material/block:")
    else:
        st.warning(words, icon=":material/warning:")


def _measure_button(version_id: int, config: Config, base_model: str) -> None:
    pressed = st.button(
        "Measure speed",
        icon=":material/speed:",
        key="measure",
        help="Trains a few steps on some of these rows and throws the outcome away: a minute or so.",
    )
    if not pressed:
        return
    with errors.shown(), st.spinner("Training a few steps to see how fast this computer is …"):
        with get_database().read() as found:
            trial = EstimateService(found).trial(version_id, config, base_model)
        measure(trial, get_settings())
        st.session_state.pop(_KNOWN, None)
        st.rerun()
