import pytest
from sqlalchemy import select

from backend.curation.service import CurationService
from backend.db.engine import Database
from backend.db.models import DatasetRow, Item, Project, Run
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobKind
from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.gain import write_gains
from backend.evaluation.results import Difference, Gain, PostKind
from backend.evaluation.service import EvaluationService
from backend.items.repository import ItemRepository
from backend.jobs.service import JobService
from backend.policies.service import PolicyService
from backend.runs.service import RunService
from tests.backend.build import add_item, add_judgement
from tests.ui.scene import evaluate, open_page, press, read_as_markdown, seed, shown


@pytest.fixture
def project(sqlite_database: Database) -> Project:
    """Base model and run 1 are evaluated; the run is better."""
    project = seed(sqlite_database, posts=60)
    with sqlite_database.write() as session:
        built = CurationService(session).build(project.id, Handling.REVIEW, person="tester")
        run = RunService(session).start(project.id, version_id=built.version.id, person="tester")
        run.prompt_hash = "of the adapter"
        policy = PolicyService(session).newest(project.id)
    evaluate(sqlite_database, project, policy, kind=ModelKind.BASE, right=0.5)
    evaluate(sqlite_database, project, policy, kind=ModelKind.RUN, right=0.9, run_id=run.id)
    return project


def test_before_anything_is_evaluated_the_page_leads_to_training(sqlite_database: Database) -> None:
    seed(sqlite_database)
    app = open_page("evaluation")
    assert not app.exception
    assert "No model is evaluated yet" in shown(app)
    press(app, "Train a student")
    assert "Nothing to learn from yet" in shown(app)


def test_two_models_stand_side_by_side(sqlite_database: Database, project: Project) -> None:
    app = open_page("evaluation")
    assert not app.exception and not app.error
    said = shown(app)
    assert "Run 1 is better than the base model" in said
    assert '<span class="ov-tag">champion</span>' in said
    assert len(app.get("vega_lite_chart")) == 3
    assert "Can its probabilities be taken at their word?" in {one.label for one in app.expander}
    for figure in ("AUROC", "Brier", "ECE"):
        assert figure in said
    assert said.count('class="ov-grid ov-heat-map"') == 2
    assert "Decided without a person" in said and " of them rightly" in said
    assert "![seen]" not in read_as_markdown(app)


def test_what_the_preference_step_brought_stands_beside_the_run(
    sqlite_database: Database, project: Project
) -> None:
    same = Difference(0.5, 0.4, 0.1, -0.1, 0.3)
    with sqlite_database.write() as session:
        [frozen] = EvaluationService(session).sets(project.id)
        gains = [
            Gain(set_id, "test", 1, 24, same, same, same, same, f"It brought *much* to {set_id}.")
            for set_id in (frozen.id, frozen.id + 1)
        ]
        session.scalars(select(Run)).one().result = {"preference": {"gains": write_gains(gains)}}
    app = open_page("evaluation")
    assert not app.exception
    said = shown(app)
    assert f"Run 1: It brought \\*much\\* to {frozen.id}\\." in said
    assert f"to {frozen.id + 1}" not in said


def test_a_student_that_does_not_beat_a_regression_is_told_so(
    sqlite_database: Database, project: Project
) -> None:
    with sqlite_database.read() as session:
        policy = PolicyService(session).newest(project.id)
    regression = BaselineModel(Baseline.REGRESSION, 1)
    evaluate(sqlite_database, project, policy, kind=ModelKind.BASELINE, right=0.9, model=regression.model)
    app = open_page("evaluation")
    assert not app.exception and not app.error
    assert "Logistic regression, version 1" in shown(app)
    [warning] = app.warning
    assert "Run 1 does not beat logistic regression taught the same posts" in warning.value
    assert "\\+.00" in warning.value or "no clear difference" in warning.value


def test_a_student_that_beats_a_regression_is_said_to(sqlite_database: Database, project: Project) -> None:
    with sqlite_database.read() as session:
        policy = PolicyService(session).newest(project.id)
    regression = BaselineModel(Baseline.REGRESSION, 1)
    evaluate(sqlite_database, project, policy, kind=ModelKind.BASELINE, right=0.4, model=regression.model)
    app = open_page("evaluation")
    assert not app.warning
    assert "Run 1 beats logistic regression taught the same posts" in shown(app)


def test_promoting_is_asked_about_first(sqlite_database: Database, project: Project) -> None:
    app = open_page("evaluation")
    press(app, "Promote Run 1")
    with sqlite_database.read() as session:
        assert session.get_one(Project, project.id).champion_run_id is None
    app.button(key="promote-confirmed").click().run()
    assert not app.exception
    with sqlite_database.read() as session:
        run = session.scalars(select(Run)).one()
        assert session.get_one(Project, project.id).champion_run_id == run.id


def waiting(database: Database) -> list[Item]:
    with database.read() as session:
        return list(session.scalars(select(Item).where(Item.sent_back)))


def test_a_wrong_post_goes_to_review_with_one_that_both_got_right(
    sqlite_database: Database, project: Project
) -> None:
    app = open_page("evaluation")
    assert "takes along to review a random one that both got right" in shown(app)
    press(app, "Send to review")
    assert not app.exception and not app.error
    assert any(button.label == "Waits in review" for button in app.button)
    assert [toast.value for toast in app.toast] == ["Sent 1 post to review and 1 that both got right."]
    assert len(waiting(sqlite_database)) == 2


def test_all_on_which_they_differ_go_to_review_after_a_question(
    sqlite_database: Database, project: Project
) -> None:
    app = open_page("evaluation")
    differ = next(each for each in app.button_group if "differ" in str(each.options))
    differ.set_value(PostKind.DIFFER).run()
    [every] = [button for button in app.button if button.label.startswith("Send all")]
    posts = int(every.label.split()[2])
    every.click().run()
    assert not waiting(sqlite_database)
    app.button(key="send-all-confirmed").click().run()
    assert not app.exception and not app.error
    assert posts < len(waiting(sqlite_database)) <= 2 * posts
    assert not any(button.label.startswith("Send all") for button in app.button)


def test_what_a_run_nearly_learned_is_said_beside_its_figures(
    sqlite_database: Database, project: Project
) -> None:
    with sqlite_database.write() as session:
        policy, run = PolicyService(session).newest(project.id), session.scalars(select(Run)).one()
        row = session.scalars(select(DatasetRow)).first()
        assert row is not None
        learned = session.get_one(Item, row.item_id)
        add_judgement(
            session, policy, add_item(session, project, f"{learned.text} *now*", split=Split.TEST), ("scam",)
        )
        ItemRepository(session).refresh(session.scalars(select(Item.id)))
    evaluate(sqlite_database, project, policy, kind=ModelKind.RUN, right=0.9, run_id=run.id)
    app = open_page("evaluation")
    assert not app.exception
    said = shown(app)
    assert "1 of the 25 posts nearly repeats a post that run 1 learned from" in said.replace("\\", "")


def test_a_model_is_evaluated_on_demand(sqlite_database: Database, project: Project) -> None:
    app = open_page("evaluation")
    press(app, "Evaluate a model")
    app.multiselect(key="evaluate-models").set_value(["base", "teacher"])
    app.button(key="evaluate-start").click().run()
    assert not app.exception and not app.error
    with sqlite_database.read() as session:
        assert len(JobService(session).list(project.id, kind=JobKind.SCORE)) == 1
    said = shown(app)
    assert "teacher-1" in said
    assert "No worker is running, so this waits" in said


def test_a_teacher_that_answered_nothing_is_said_in_words(sqlite_database: Database) -> None:
    seed(sqlite_database, answered=False)
    app = open_page("evaluation")
    press(app, "Evaluate base model or teacher")
    app.multiselect(key="evaluate-models").set_value(["teacher"])
    app.button(key="evaluate-start").click().run()
    assert not app.exception
    assert any("answered none of these posts" in error.value for error in app.error)
