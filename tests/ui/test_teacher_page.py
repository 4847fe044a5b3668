import pytest

from backend.db.engine import Database
from backend.db.models.base import now
from backend.db.models.jobs import JobKind, JobState
from backend.jobs.service import JobService
from backend.settings import get_settings
from backend.teacher.service import TeacherService
from tests.ui.scene import open_page, press, seed, shown


def test_without_a_project_the_page_says_where_to_begin(sqlite_database: Database) -> None:
    app = open_page("teacher")
    assert not app.exception
    assert "No project yet" in shown(app)


def test_runs_and_agreement_are_shown_and_nothing_is_left_to_ask(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("teacher")
    assert not app.exception and not app.error
    said = shown(app)
    assert "Every post has an answer" in said
    assert "teacher-1" in said and "imported by tester" in said
    assert "80% <span class='ov-faint'>of 30</span>" in said
    assert app.button(key="teach-start").disabled


def test_asking_makes_a_job_and_says_that_no_worker_runs(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERRULE_TEACHER_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OVERRULE_TEACHER_KEY", "not to be seen")
    get_settings.cache_clear()
    project = seed(sqlite_database, answered=False)
    app = open_page("teacher")
    assert "**30 posts** without an answer" in shown(app)
    app.number_input(key="teach-limit").set_value(7).run()
    assert "**7 posts** without an answer" in shown(app)
    press(app, "Ask the teacher")
    assert not app.exception and not app.error
    with sqlite_database.read() as session:
        [job] = JobService(session).list(project.id, kind=JobKind.TEACH)
    assert job.payload["limit"] == 7
    said = shown(app)
    assert "No worker is running, so this waits" in said
    assert "not to be seen" not in said
    press(app, "Cancel")
    assert "No worker is running, so this waits" not in shown(app)


def test_posts_without_an_answer_are_accounted_for(sqlite_database: Database) -> None:
    project = seed(sqlite_database, answered=False)
    with sqlite_database.write() as session:
        job = TeacherService(session).start(project.id, person="tester")
        job.state, job.finished_at = JobState.SUCCEEDED, now()
        job.result = {"failed": {"rejected": 30}, "said": {"rejected": "**no** such key"}}
    app = open_page("teacher")
    assert not app.exception
    [warning] = app.warning
    assert "30 posts got no answer: request refused" in warning.value
    assert "\\*\\*no\\*\\* such key" in warning.value
    assert "Are the key and the model's name right?" in warning.value


def test_a_teacher_that_cannot_be_used_is_said_in_words(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERRULE_TEACHER_URL", "ftp://nowhere")
    get_settings.cache_clear()
    seed(sqlite_database, answered=False)
    app = open_page("teacher")
    assert not app.exception
    assert len(app.error) == 1
    assert "Traceback" not in shown(app)
