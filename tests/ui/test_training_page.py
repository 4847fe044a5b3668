import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from backend.curation.service import CurationService
from backend.db.engine import Database
from backend.db.models import Job, Project, Run
from backend.db.models.curation import Handling
from backend.db.models.jobs import JobState
from backend.settings import get_settings
from tests.tiny_model import make_tiny_model
from tests.ui.scene import HOSTILE, open_page, press, read_as_markdown, seed, shown
from training.job import Preference
from ui.components import run_result
from ui.components.run_card import loss_frame


@pytest.fixture
def project(sqlite_database: Database) -> Project:
    project = seed(sqlite_database)
    with sqlite_database.write() as session:
        CurationService(session).build(project.id, Handling.REVIEW, person="tester")
    return project


def test_without_a_version_the_page_leads_to_building_one(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("training")
    assert not app.exception
    assert "Nothing to learn from yet" in shown(app)
    press(app, "Build a dataset version")
    assert "### A new version" in shown(app)


def test_one_click_makes_a_run_that_waits_for_a_worker(sqlite_database: Database, project: Project) -> None:
    app = open_page("training")
    assert "No run yet" in shown(app)
    press(app, "Train")
    assert not app.exception and not app.error
    with sqlite_database.read() as session:
        run = session.scalars(select(Run)).one()
    assert (run.preset, run.created_by) == ("quick", "tester")
    said = shown(app)
    assert "### Run 1" in said
    assert "No worker is running, so this waits" in said


def test_changed_settings_are_kept_and_wrong_ones_said(sqlite_database: Database, project: Project) -> None:
    app = open_page("training")
    app.number_input(key="setting-quick-epochs").set_value(5).run()
    press(app, "Train")
    with sqlite_database.read() as session:
        run = session.scalars(select(Run)).one()
    assert (run.preset, run.config["epochs"]) == ("custom", 5)
    app.number_input(key="setting-quick-learning_rate").set_value(0.0).run()
    assert not app.exception
    assert any("Learning rate cannot be" in error.value for error in app.error)


def test_the_large_preset_says_what_gpu_it_needs(sqlite_database: Database, project: Project) -> None:
    app = open_page("training")
    app.segmented_control(key="preset").set_value("large").run()
    assert not app.exception
    assert "Needs a GPU with 32 GB, or with 24 GB by the method qlora." in shown(app)
    press(app, "Train")
    with sqlite_database.read() as session:
        run = session.scalars(select(Run)).one()
    assert (run.preset, run.config["max_length"], run.config["answers"]) == ("large", 1024, "both")


def test_what_cannot_end_well_cannot_be_started(
    sqlite_database: Database, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _here(monkeypatch, tmp_path)
    app = open_page("training")
    app.text_input(key="setting-quick-targets").set_value("foo_bar").run()
    assert any("match no layer" in error.value for error in app.error)
    assert app.button(key="train").disabled
    assert not [button for button in app.button if button.key == "measure"]
    app.text_input(key="setting-quick-targets").set_value("all-linear").run()
    assert not app.button(key="train").disabled


def _under(app: AppTest, key: str) -> list[str]:
    """The errors that stand between a setting's box and the next row of boxes."""
    found: list[str] | None = None
    for element in app.main:
        own = str(getattr(element, "key", None) or "")
        if own == key:
            found = []
        elif found is not None and element.type == "error":
            found.append(element.value)
        elif found and own.startswith(("setting-", "preference")):
            break
    return found or []


def test_what_is_wrong_with_settings_stands_under_their_boxes(
    sqlite_database: Database, project: Project
) -> None:
    app = open_page("training")
    app.number_input(key="setting-quick-rank").set_value(0).run()
    app.number_input(key="setting-quick-learning_rate").set_value(5.0).run()
    assert not app.exception
    assert len(app.error) == 2
    for key, says in (("rank", "LoRA rank cannot be 0"), ("learning_rate", "Learning rate cannot be 5")):
        [said] = _under(app, f"setting-quick-{key}")
        assert said.startswith(says)
    assert "To be changed in “Settings” first: Learning rate\\, LoRA rank." in shown(app)


def test_what_does_not_go_together_stands_under_the_method(
    sqlite_database: Database, project: Project
) -> None:
    app = open_page("training")
    app.selectbox(key="setting-quick-method").set_value("full").run()
    app.toggle(key="preference").set_value(True).run()
    assert not app.exception
    [said] = _under(app, "setting-quick-method")
    assert "the preference step compares a student with itself" in said


def test_what_the_base_model_forbids_stands_under_the_box(
    sqlite_database: Database, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _here(monkeypatch, tmp_path)
    app = open_page("training")
    app.number_input(key="setting-quick-rank").set_value(64).run()
    [said] = _under(app, "setting-quick-rank")
    assert "LoRA rank 64 is more than the layer" in said
    assert len(app.error) == 1
    assert app.button(key="train").disabled
    assert "To be changed in “Settings” first: LoRA rank." in shown(app)


def test_full_fine_tuning_at_the_rate_of_lora_is_cautioned_before_it_starts(
    sqlite_database: Database, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _here(monkeypatch, tmp_path)
    app = open_page("training")
    app.selectbox(key="setting-quick-method").set_value("full").run()
    assert any("A learning rate of 0\\.001 suits LoRA" in warning.value for warning in app.warning)
    assert not app.button(key="train").disabled
    app.number_input(key="setting-quick-learning_rate").set_value(1e-4).run()
    assert not any("suits LoRA" in warning.value for warning in app.warning)


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [("rank", 5000, "LoRA rank cannot be 5000"), ("rank", 0, "LoRA rank cannot be 0"),
     ("learning_rate", 5.0, "Learning rate cannot be 5"), ("layers", 2.0, "Layers that learn cannot be 2")],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_its_name(
    sqlite_database: Database, project: Project, setting: str, value: float, says: str
) -> None:
    app = open_page("training")
    app.number_input(key=f"setting-quick-{setting}").set_value(value).run()
    assert not app.exception
    [error] = app.error
    assert error.value.replace("\\", "").startswith(says)
    assert "train" not in {button.key for button in app.button}


def test_every_form_of_answer_and_method_can_be_chosen(sqlite_database: Database, project: Project) -> None:
    app = open_page("training")
    box = app.selectbox(key="setting-quick-answers")
    assert box.options == [
        "labels only",
        "reason, then labels",
        "each post in both forms",
        "labels, then reason",
    ]
    box.set_value("explained").run()
    methods = app.selectbox(key="setting-quick-method")
    assert methods.options == ["LoRA", "QLoRA (base model in 4 bits)", "all weights"]
    app.toggle(key="setting-quick-dora").set_value(True).run()
    press(app, "Train")
    assert not app.exception and not app.error
    with sqlite_database.read() as session:
        config = session.scalars(select(Run)).one().config
    assert (config["answers"], config["method"], config["dora"]) == ("explained", "lora", True)


def test_the_preference_step_is_a_switch_with_the_pairs_there_are(
    sqlite_database: Database, project: Project
) -> None:
    app = open_page("training")
    assert "6 posts where people’s answer, imported or reviewed, overrules the teacher’s." in shown(app)
    app.toggle(key="preference").set_value(True).run()
    app.number_input(key="preference-beta").set_value(0.3).run()
    press(app, "Train")
    assert not app.exception and not app.error
    with sqlite_database.read() as session:
        run = session.scalars(select(Run)).one()
    assert run.config["preference"] == Preference(beta=0.3).model_dump()
    assert "beta 0.3, epochs 1, learning rate 0.0001, batch size 8" in shown(app)


def test_a_value_of_the_preference_step_is_refused_by_its_name(
    sqlite_database: Database, project: Project
) -> None:
    app = open_page("training")
    app.toggle(key="preference").set_value(True).run()
    app.number_input(key="preference-beta").set_value(0.0).run()
    assert not app.exception
    [error] = app.error
    assert error.value.startswith("Beta of the preference step cannot be 0")


def test_without_pairs_the_switch_says_why_it_is_off(sqlite_database: Database) -> None:
    project = seed(sqlite_database)
    with sqlite_database.write() as session:
        CurationService(session).build(project.id, Handling.DROP, person="tester")
    app = open_page("training")
    assert app.toggle(key="preference").disabled
    assert "In no row of this version" in shown(app)


def test_a_base_model_that_is_not_there_is_said(sqlite_database: Database, project: Project) -> None:
    app = open_page("training")
    app.selectbox(key="base-model").set_value("other").run()
    app.text_input(key="base-model-name").set_value("/nowhere/at/all").run()
    assert not app.exception
    [said] = _under(app, "base-model-name")
    assert said.startswith("There is no folder")
    assert len(app.error) == 1
    assert app.button(key="train").disabled


def test_a_failed_run_says_why_and_shows_how_far_it_came(sqlite_database: Database, project: Project) -> None:
    press(open_page("training"), "Train")
    with sqlite_database.write() as session:
        job = session.scalars(select(Job)).one()
        job.state, job.error, job.hint = JobState.FAILED, "The disk is full.", "Make room, then resume."
    folder = Path(job.folder or "")
    folder.mkdir(parents=True)
    (folder / "progress.jsonl").write_text("\n".join(json.dumps(event) for event in _events()) + "\n")
    app = open_page("training")
    assert not app.exception
    assert [error.value for error in app.error] == ["The disk is full\\.  \nMake room\\, then resume\\."]
    assert len(app.get("vega_lite_chart")) == 1
    press(app, "Resume")
    with sqlite_database.read() as session:
        assert session.get_one(Job, job.id).state is JobState.QUEUED


def test_a_run_that_its_settings_forbid_offers_to_change_them(
    sqlite_database: Database, project: Project
) -> None:
    app = open_page("training")
    app.segmented_control(key="preset").set_value("standard").run()
    app.number_input(key="setting-standard-rank").set_value(64).run()
    app.toggle(key="preference").set_value(True).run()
    app.number_input(key="preference-beta").set_value(0.7).run()
    press(app, "Train")
    with sqlite_database.write() as session:
        job = session.scalars(select(Job)).one()
        job.state, job.error = JobState.FAILED, "A LoRA rank of 64 is more than a layer can use."
        job.result = {"fails_again": True}
    app = open_page("training")
    assert "Resume" not in {button.label for button in app.button}
    press(app, "Change settings")
    assert not app.exception
    assert not any("Session State" in warning.value for warning in app.warning)
    assert app.segmented_control(key="preset").value == "standard"
    [rank] = [box for box in app.number_input if box.label == "LoRA rank"]
    [beta] = [box for box in app.number_input if box.label == "Beta"]
    assert (rank.value, beta.value) == (64, 0.7)
    assert app.toggle(key="preference").value
    rank.set_value(8).run()
    press(app, "Train")
    with sqlite_database.read() as session:
        config = session.scalars(select(Run).order_by(Run.id.desc())).first().config  # type: ignore[union-attr]
    assert (config["rank"], config["learning_rate"], config["preference"]["beta"]) == (8, 2e-3, 0.7)
    # Another preset has its own settings again.
    app.segmented_control(key="preset").set_value("quick").run()
    app.segmented_control(key="preset").set_value("standard").run()
    assert app.number_input(key="setting-standard-rank").value == 16


@pytest.mark.parametrize("state", [JobState.STOPPED, JobState.INTERRUPTED])
def test_a_run_that_was_cut_off_can_go_on(
    sqlite_database: Database, project: Project, state: JobState
) -> None:
    app = _run_with(sqlite_database, _events(), state=state, result={"fails_again": True})
    labels = {button.label for button in app.button}
    assert "Resume" in labels
    assert "Change settings" not in labels


def _finished(database: Database, *, card: str, **result: object) -> AppTest:
    """The page with a finished run whose student is a few small files."""
    press(open_page("training"), "Train")
    with database.write() as session:
        run, job = session.scalars(select(Run)).one(), session.scalars(select(Job)).one()
        job.state, run.prompt_hash, run.result = JobState.SUCCEEDED, "p" * 64, result
    adapter = Path(job.folder or "") / "adapter"
    adapter.mkdir(parents=True)
    for name, content in (
        ("adapter_model.safetensors", "weights" * 1000),
        ("adapter_config.json", "{}"),
        ("overrule.json", "{}"),
        ("README.md", card),
    ):
        (adapter / name).write_text(content)
    return open_page("training")


def test_a_finished_run_can_be_taken_away_and_shows_its_model_card_as_text(
    sqlite_database: Database, project: Project
) -> None:
    app = _finished(sqlite_database, card=f"# A student\n{HOSTILE}\n")
    assert not app.exception
    [download] = app.get("download_button")
    assert download.proto.label == "Download the adapter (7 kB)"
    assert HOSTILE not in "".join(str(code.value) for code in app.code)
    app.session_state["card-1"] = True
    app.run()
    [card] = [code for code in app.code if "A student" in code.value]
    assert card.value == f"# A student\n{HOSTILE}"
    assert HOSTILE not in read_as_markdown(app)


def test_a_student_that_was_removed_is_said(sqlite_database: Database, project: Project) -> None:
    _finished(sqlite_database, card="")
    with sqlite_database.read() as session:
        shutil.rmtree(Path(session.scalars(select(Job)).one().folder or ""))
    app = open_page("training")
    app.session_state["card-1"] = True
    app.run()
    assert not app.exception
    assert not app.get("download_button")
    assert "What run 1 learned is no longer in its folder." in shown(app)


def test_a_student_too_large_for_a_browser_is_written_by_the_command(
    sqlite_database: Database, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_result, "MOST_BYTES", 1000)
    app = _finished(sqlite_database, card="")
    assert not app.get("download_button")
    assert "`overrule runs export 1 --out run-1.zip`" in shown(app)


def test_a_finished_run_says_what_it_was_made_with(sqlite_database: Database, project: Project) -> None:
    app = _finished(
        sqlite_database,
        card="",
        timings={"starting": 2.0, "fetching": 0.001, "training": 300.4, "scoring": 61.0},
        peak_memory_mb={"process": 1518.0, "gpu": 20000.0},
        hardware={"processor": "A processor", "cores": 2, "memory_mb": 24105, "weights": "bfloat16"},
        rows={"train": {"used": 240, "learned_tokens": 643, "refused_count": 2,
                        "refused": [{"id": "7", "reason": "the row has no labels"}]}},
        versions={"overrule": "0.1.0", "torch": "2.13.0"},
        hashes={"job": "a" * 64, "policy": "b" * 64, "data": {"train.parquet": "c" * 64}},
    )  # fmt: skip
    assert not app.exception
    said = shown(app)
    for words in (
        "<dt>Time</dt><dd>2 s starting, 5 min training, 1 min scoring</dd>",
        "<dt>Peak memory</dt><dd>1.6 GB of the process, 21.0 GB of the GPU</dd>",
        "<dt>Machine</dt><dd>A processor, 2 cores, 25.3 GB<br>base model in bf16</dd>",
        "240 used, 643 learned tokens<br>2 left out: the row has no labels",
        "<dt>Versions</dt><dd>overrule 0.1.0, torch 2.13.0</dd>",
        f'settings <code title="{"a" * 64}">{"a" * 16}…</code>',
        f'rows to learn <code title="{"c" * 64}">{"c" * 16}…</code>',
    ):
        assert words in said, words


def _run_with(database: Database, events: list[dict[str, object]], **job_values: object) -> AppTest:
    press(open_page("training"), "Train")
    with database.write() as session:
        job = session.scalars(select(Job)).one()
        for name, value in job_values.items():
            setattr(job, name, value)
    folder = Path(job.folder or "")
    folder.mkdir(parents=True)
    (folder / "progress.jsonl").write_text("\n".join(json.dumps(event) for event in events) + "\n")
    return open_page("training")


def test_a_run_under_way_tells_how_fast_it_is_and_what_is_best(
    sqlite_database: Database, project: Project
) -> None:
    step = {
        "phase": "training",
        "step": 7,
        "steps": 60,
        "loss": 0.9,
        "examples_per_second": 3.21,
        "learned_tokens_per_second": 1234.5,
        "mfu": 0.42,
        "memory_mb": 2000.0,
        "seconds_left": 75.0,
    }
    validated = [
        {"phase": "validating", "step": 3, "steps": 60, "validation_loss": 0.81, "best": True},
        {"phase": "validating", "step": 6, "steps": 60, "validation_loss": 0.95, "best": False},
    ]
    app = _run_with(
        sqlite_database,
        [*validated, step],
        state=JobState.RUNNING,
        phase="training",
        progress=0.1,
        seconds_left=75.0,
        heartbeat_at=datetime.now(UTC),
    )
    assert not app.exception
    said = shown(app)
    for figure, words in (
        ("0.90", "loss on training"),
        ("0.95", "loss on validation"),
        ("0.81", "lowest validation loss, at step 3"),
        ("3.2", "examples a second"),
        ("1,234", "learned tokens a second"),
        ("42%", "of the GPU&#39;s peak (MFU)"),
        ("2.1 GB", "memory"),
    ):
        assert f'<div class="ov-fact">{figure}</div><div class="ov-faint ov-small">{words}</div>' in said, (
            words
        )
    assert _bar(app) == "Training, step 7 of 60 · 10% of the whole run · 1 min left"


def test_what_a_run_took_at_most_is_said_once_it_is_over_by_its_record_alone(
    sqlite_database: Database, project: Project
) -> None:
    step = {"phase": "training", "step": 7, "steps": 60, "loss": 0.9, "memory_mb": 2000.0}
    app = _run_with(sqlite_database, [step], state=JobState.STOPPED)
    assert not app.exception
    assert ">memory</div>" not in shown(app)


def _bar(app: AppTest) -> str:
    [bar] = app.get("progress")
    return str(bar.proto.text)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"phase": "scoring", "step": 200, "steps": 460}, "Scoring 200 of 460 posts"),
        ({"phase": "scoring", "step": 200, "steps": 460, "model": "base"},
         "Scoring the base model: 200 of 460 posts"),
        ({"phase": "scoring", "message": "reasons of 16 of 60 posts written"},
         "Scoring the posts\\: reasons of 16 of 60 posts written"),
        ({"phase": "preferring", "step": 3, "steps": 12}, "Learning preferences, step 3 of 12"),
        ({"phase": "validating", "step": 10, "steps": 60}, "Validating, step 10 of 60"),
    ],
)  # fmt: skip
def test_the_count_beside_the_bar_is_that_of_the_phase(
    sqlite_database: Database, project: Project, event: dict[str, object], says: str
) -> None:
    trained = {"phase": "training", "step": 60, "steps": 60, "loss": 0.5, "examples_per_second": 3.2}
    app = _run_with(
        sqlite_database,
        [trained, {"examples_per_second": 41.2} | event],
        state=JobState.RUNNING,
        phase=event["phase"],
        progress=0.8,
        heartbeat_at=datetime.now(UTC),
    )
    assert _bar(app) == f"{says} · 80% of the whole run"
    rate = ("41", "posts a second") if event["phase"] == "scoring" else ("3.2", "examples a second")
    assert f'<div class="ov-fact">{rate[0]}</div><div class="ov-faint ov-small">{rate[1]}</div>' in shown(app)


def test_a_resumed_run_says_nothing_of_the_earlier_process_as_its_own(
    sqlite_database: Database, project: Project
) -> None:
    app = _run_with(
        sqlite_database,
        [{"phase": "training", "step": 7, "steps": 60, "loss": 0.9}],
        state=JobState.STARTING,
        phase="preparing",
    )
    assert _bar(app) == "Preparing"


def test_a_run_that_ended_early_says_so(sqlite_database: Database, project: Project) -> None:
    message = "stopped early: no better macro-F1 for 2 validations"
    app = _run_with(
        sqlite_database,
        [
            {"phase": "validating", "step": 10, "validation_loss": 0.8, "macro_f1": 0.613, "best": True},
            {"phase": "training", "step": 30, "steps": 60, "message": message},
            {"phase": "scoring", "step": 1, "steps": 9},
        ],
        state=JobState.SUCCEEDED,
    )
    assert not app.exception
    assert "Stopped early\\: no better macro\\-F1 for 2 validations, at step 30 of 60." in shown(app)
    assert "best macro-F1 on validation, at step 10" in shown(app)


def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    base = str(make_tiny_model(tmp_path / "TinyModel"))
    monkeypatch.setenv("OVERRULE_BASE_MODEL", base)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    get_settings.cache_clear()
    return base


def test_before_a_run_the_page_says_what_it_takes_and_measures_the_speed(
    sqlite_database: Database, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _here(monkeypatch, tmp_path)
    app = open_page("training")
    assert not app.exception
    said = shown(app)
    assert "12 examples, 4 passes: 8 steps" in said
    assert "times as many" in said
    assert "roughly" in said
    assert "not measured on this computer yet" in said
    assert "About **" not in said
    press(app, "Measure speed")
    assert not app.exception and not app.error
    said = shown(app)
    assert "About **" in said
    assert "at the pace of a measurement" in said
    # It is over before memory is at its peak.
    assert "roughly" in said
    assert not any(button.label == "Measure speed" for button in app.button)


def test_settings_that_cannot_fit_or_learn_are_warned_of(
    sqlite_database: Database, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _here(monkeypatch, tmp_path)
    app = open_page("training")
    assert any("8 steps are too few to learn from" in warning.value for warning in app.warning)
    app.number_input(key="setting-quick-epochs").set_value(40).run()
    assert not app.warning
    app.number_input(key="setting-quick-rank").set_value(64).run()
    assert any("LoRA rank 64 is more than the layer" in error.value for error in app.error)
    assert app.button(key="train").disabled
    app.number_input(key="setting-quick-rank").set_value(16).run()
    app.number_input(key="setting-quick-patience").set_value(9).run()
    assert any("a patience of 9 ends no run early" in warning.value for warning in app.warning)
    # What is only warned of can still be started.
    press(app, "Train")
    with sqlite_database.read() as session:
        assert session.scalars(select(Run)).one().config["patience"] == 9


def test_without_the_base_model_the_page_says_when_more_is_known(
    sqlite_database: Database, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERRULE_BASE_MODEL", "nobody/no-model")
    get_settings.cache_clear()
    app = open_page("training")
    assert not app.exception
    assert "The base model is not on this computer yet" in shown(app)
    assert not any(button.label == "Measure speed" for button in app.button)


def test_the_loss_frame_marks_the_best_and_takes_the_last_word() -> None:
    frame = loss_frame([*_events(), {"phase": "training", "step": 2, "loss": 9.0}])
    training = frame[frame["series"] == "training"]
    assert dict(zip(training["step"], training["loss"], strict=True))[2] == 9.0
    best = frame[frame["best"]]
    assert list(best["step"]) == [4]


def test_the_loss_frame_of_a_long_run_is_averaged() -> None:
    events = [{"phase": "training", "step": step, "loss": 1.0} for step in range(5_000)]
    frame = loss_frame(events)
    assert len(frame) <= 400
    assert set(frame["loss"]) == {1.0}


def _events() -> list[dict[str, object]]:
    training = [{"phase": "training", "step": step, "steps": 6, "loss": 3.0 / step} for step in range(1, 7)]
    validating = [
        {"phase": "validating", "step": step, "validation_loss": loss}
        for step, loss in ((2, 2.0), (4, 1.5), (6, 1.7))
    ]
    return [*training, *validating]
