import json
from pathlib import Path

import pytest
from sqlalchemy import select

from backend.curation.service import CurationService
from backend.db.engine import Database
from backend.db.models import Job, Project, Run
from backend.db.models.curation import Handling
from backend.db.models.jobs import JobState
from tests.ui.scene import open_page, press, seed, shown
from training.job import Preference
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
    assert any("learning" in error.value and "cannot be" in error.value for error in app.error)


def test_the_large_preset_says_what_gpu_it_needs(sqlite_database: Database, project: Project) -> None:
    app = open_page("training")
    app.segmented_control(key="preset").set_value("large").run()
    assert not app.exception
    assert "Needs a GPU with 32 GB, or with 24 GB by the method qlora." in shown(app)
    press(app, "Train")
    with sqlite_database.read() as session:
        run = session.scalars(select(Run)).one()
    assert (run.preset, run.config["max_length"], run.config["answers"]) == ("large", 1024, "both")


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
    assert "6 posts where people corrected the teacher." in shown(app)
    app.toggle(key="preference").set_value(True).run()
    app.number_input(key="preference-beta").set_value(0.3).run()
    press(app, "Train")
    assert not app.exception and not app.error
    with sqlite_database.read() as session:
        run = session.scalars(select(Run)).one()
    assert run.config["preference"] == Preference(beta=0.3).model_dump()
    assert "beta 0.3, epochs 1, learning rate 0.0001, batch size 8" in shown(app)


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
    press(app, "Train")
    assert not app.exception
    assert any("There is no folder" in error.value for error in app.error)
    with sqlite_database.read() as session:
        assert not session.scalars(select(Run)).all()


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
