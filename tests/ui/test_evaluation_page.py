import re

import pandas as pd
import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from backend.curation.service import CurationService
from backend.db.engine import Database
from backend.db.models import DatasetRow, Evaluation, EvaluationRow, Item, Job, Project, Run
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobKind, JobState
from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.gain import write_gains
from backend.evaluation.results import ANY, Alone, Difference, Gain, Interval, PostKind
from backend.evaluation.results_service import ResultsService
from backend.evaluation.service import EvaluationService
from backend.items.repository import ItemRepository
from backend.jobs.payloads import ScorePayload
from backend.jobs.service import JobService
from backend.policies.service import PolicyService
from backend.runs.choices import configure
from backend.runs.fine_tune import FineTune
from backend.runs.service import RunService
from tests.backend.build import add_item, add_judgement
from tests.backend.runs.build import write_card
from tests.ui.scene import evaluate, open_page, press, read_as_markdown, seed, shown
from training.adapter import CARD
from training.prompt import Form
from ui.components import measures


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
    assert re.search(r"Run 1.{0,40}version 1 \(\w+\), seed 0", said)
    assert len(app.get("vega_lite_chart")) == 3
    assert "Can its probabilities be taken at their word?" in {one.label for one in app.expander}
    for figure in ("AUROC", "Brier", "ECE"):
        assert figure in said
    assert said.count('class="ov-grid ov-heat-map"') == 2
    assert re.search(
        r"Wanted right, on either side.*\d+% \(\d+ to \d+\) of posts, \d+% \(\d+ to \d+\) of them rightly",
        said,
        re.S,
    )
    assert "![seen]" not in read_as_markdown(app)


def test_a_dot_lies_on_the_curve_or_is_not_drawn(sqlite_database: Database, project: Project) -> None:
    app = open_page("evaluation")
    said = shown(app)
    assert "Any violation is flagged where any category is, so no one threshold has a place" in said
    assert "Any violation is flagged where any category is; it has no threshold of its own." in said
    assert "The dot is the threshold" not in said
    app.selectbox(key="curve-category").set_value("hate").run()
    assert "The dot is the threshold" in shown(app)
    with sqlite_database.read() as session:
        results = ResultsService(session)
        [frozen] = EvaluationService(session).sets(project.id)
        reports = [results.report(row.evaluation_id) for row in results.table(project.id, frozen.id)]
    for code, dots in ((ANY, 0), ("hate", 2)):
        lines, points = measures._curve_frames(reports, measures._named(reports), code)
        assert lines["model"].nunique() == 2 and len(points) == dots
        on = lines.merge(points, on=["model", "recall", "precision"])
        assert len(on) == dots


def test_invalid_answers_are_told_in_words(sqlite_database: Database, project: Project) -> None:
    with sqlite_database.write() as session:
        for one in session.scalars(select(Evaluation)):
            one.metrics = one.metrics | {"invalid": 0.123, "unreadable": 2}
    said = shown(open_page("evaluation"))
    assert "12\\.3\\% of the probability goes to answers" in said
    assert "2 answers could not be read" in said


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
    assert "±.00" in warning.value or "no clear difference" in warning.value


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
    flags = re.compile(r"Run 1 flags \d+% .* harmless posts? and finds")
    assert len(flags.findall(shown(app))) == 1
    press(app, "Promote Run 1")
    assert len(flags.findall(shown(app))) == 2, "it is said again where it is decided"
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
    assert any(button.label == "Waits in review" for button in open_page("evaluation").button), (
        "a new session"
    )
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
    said = re.search(
        r"\*\*(\d+) posts\*\* go .* and with them (\d+) random ones? that both got right", shown(app)
    )
    assert said is not None and int(said[1]) == posts
    along = int(said[2])
    assert (along < posts) == ("but no more are left" in shown(app))
    app.button(key="send-all-confirmed").click().run()
    assert not app.exception and not app.error
    assert len(waiting(sqlite_database)) == posts + along
    assert not any(button.label.startswith("Send all") for button in app.button)


def test_each_kind_of_posts_says_how_many_there_are(sqlite_database: Database, project: Project) -> None:
    with sqlite_database.read() as session:
        run_id = session.scalars(select(Run.id)).one()
        policy = PolicyService(session).newest(project.id)
    newest = evaluate(sqlite_database, project, policy, kind=ModelKind.RUN, right=0.5, run_id=run_id)
    app = open_page("evaluation")
    kinds = next(each for each in app.button_group if "False alarms" in str(each.options))
    [wrong] = [each for each in kinds.options if each.startswith("Run 1 is wrong")]
    with sqlite_database.read() as session:
        posts = ResultsService(session).post_ids(newest, kind=PostKind.WRONG)
    assert posts
    assert wrong == f"Run 1 is wrong · {len(posts)}"


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


def student(database: Database, project: Project, answers: str, *forms: Form) -> Run:
    """A run that has ended well, with its student's card; what it was evaluated on is added by the test."""
    with database.write() as session:
        service = RunService(session)
        [version] = CurationService(session).versions(project.id)
        run = service.start(
            project.id,
            version_id=version.id,
            config=configure("quick", {"answers": answers}),
            person="tester",
        )
        run.prompt_hash = "of the adapter"
        folder = service.adapter(run).parent
        FineTune(session).prepare(run, folder)
        write_card(folder, *forms)
        session.get_one(Job, run.job_id).state = JobState.SUCCEEDED
        return run


def evaluating(*models: str) -> AppTest:
    """The page with the dialog open and these models chosen; a rerun of the page would close it."""
    app = open_page("evaluation")
    app.session_state["evaluate-models"] = list(models)
    return press(app, "Evaluate a model")


def scoring_jobs(database: Database, project: Project) -> list[ScorePayload]:
    with database.read() as session:
        jobs = JobService(session).list(project.id, kind=JobKind.SCORE)
        return [ScorePayload.model_validate(job.payload) for job in reversed(jobs)]


def test_a_student_that_knows_both_ways_can_be_asked_for_a_reason_first(
    sqlite_database: Database, project: Project
) -> None:
    plain = student(sqlite_database, project, "direct", "direct")
    both = student(sqlite_database, project, "both", "direct", "reasoned")
    assert not evaluating("base", str(plain.id)).radio, "nobody among these knows both ways"
    app = evaluating("base", str(plain.id), str(both.id))
    [how] = app.radio
    assert (how.label, how.options) == ("How to ask run 3", ["Label only", "Reason first, then label"])
    assert how.value == "direct"
    assert "takes far longer than scoring its labels. The reasons are kept" in shown(app)
    how.set_value("reasoned")
    app.button(key="evaluate-start").click().run()
    assert not app.exception and not app.error
    rest, asked = scoring_jobs(sqlite_database, project)
    assert (rest.base, rest.run_ids, rest.inference) == (True, (plain.id,), None)
    assert (asked.base, asked.run_ids, asked.inference) == (False, (both.id,), "reasoned")
    said = shown(app).replace("\\", "")
    assert "Score base model, run 2 on test" in said
    assert "Score run 3, reason first, on test" in said


def test_asked_for_the_label_only_it_is_asked_as_by_itself(
    sqlite_database: Database, project: Project
) -> None:
    both = student(sqlite_database, project, "both", "direct", "reasoned")
    app = evaluating(str(both.id))
    app.button(key="evaluate-start").click().run()
    [asked] = scoring_jobs(sqlite_database, project)
    assert (asked.run_ids, asked.inference) == ((both.id,), None)


def test_a_student_that_is_gone_is_said_in_words(sqlite_database: Database, project: Project) -> None:
    both = student(sqlite_database, project, "both", "direct", "reasoned")
    with sqlite_database.read() as session:
        (RunService(session).adapter(both) / CARD).unlink()
    app = evaluating(str(both.id))
    assert not app.exception
    assert "The student of run 2 is not there any more" in app.error[0].value


def test_two_ways_to_ask_a_student_stand_side_by_side(sqlite_database: Database, project: Project) -> None:
    run = student(sqlite_database, project, "both", "direct", "reasoned")
    with sqlite_database.read() as session:
        policy = PolicyService(session).newest(project.id)
        [frozen] = EvaluationService(session).sets(project.id)
        rows = list(session.scalars(select(EvaluationRow).where(EvaluationRow.set_id == frozen.id)))
    written = pd.DataFrame(
        {
            "id": [str(row.id) for row in rows],
            "analysis": ["It says so."] * len(rows),
            "harmful": [[row.text[:10]] if row.labels else [] for row in rows],
            "labels": [None, *(list(row.labels) for row in rows[1:])],
        }
    )
    by_itself = {"kind": ModelKind.RUN, "run_id": run.id}
    evaluate(sqlite_database, project, policy, right=0.7, **by_itself)
    evaluate(sqlite_database, project, policy, right=0.8, inference="reasoned", reasons=written, **by_itself)
    app = open_page("evaluation")
    assert not app.exception and not app.error
    said = shown(app)
    assert "Run 2, label only" in said and "Run 2, reason first" in said
    compare, beside = app.selectbox(key=f"compare-Compare-{frozen.id}"), f"compare-with-{frozen.id}"
    names = dict(zip(compare.options, range(len(compare.options)), strict=True))
    of = "version 1 (Review), seed 0"
    known = {f"Run 2, label only: {of}", f"Run 2, reason first: {of}", f"Run 1: {of}", "Base model a model"}
    assert known == set(names)
    compare.select(f"Run 2, reason first: {of}").run()
    app.selectbox(key=beside).select(f"Run 2, label only: {of}").run()
    assert not app.exception and not app.error
    said = shown(app)
    assert "Are its reasons sound?" in {one.label for one in app.expander}
    assert "of a student, that the labels it wrote behind the reason are exactly those" in shown(app)
    assert "<th>Unreadable</th>" in said.replace(' class="ov-number"', "")
    assert [button.label for button in app.button if button.label.startswith("Promote")] == ["Promote Run 2"]


def test_what_two_models_differ_by_stands_category_by_category(
    sqlite_database: Database, project: Project
) -> None:
    app = open_page("evaluation")
    assert "What they differ by in each category" in {one.label for one in app.expander}
    said = shown(app)
    assert "F1: difference" in said and "Only Run 1 right" in said
    assert "exact McNemar test" in said and "(Holm)" in said
    assert "Posts with exactly the right categories: " in said and "95% interval" in said


@pytest.mark.parametrize(
    ("right", "high", "says"),
    [(0.96, 1.0, ""), (0.9, 0.97, ": less than wanted"), (0.5, 0.7, ": clearly less than wanted")],
)
def test_a_band_that_does_not_hold_what_was_wanted_says_so(right: float, high: float, says: str) -> None:
    band = Alone(0.95, 0.1, 0.9, 0.4, right, Interval(0.3, 0.5), Interval(0.3, high))
    assert re.fullmatch(
        r"40% \(30 to 50\) of posts, \d+% \(\d+ to \d+\) of them rightly" + says,
        measures._decided([band], 0.95),
    )


def test_a_teacher_that_answered_nothing_is_said_in_words(sqlite_database: Database) -> None:
    seed(sqlite_database, answered=False)
    app = open_page("evaluation")
    press(app, "Evaluate base model or teacher")
    app.multiselect(key="evaluate-models").set_value(["teacher"])
    app.button(key="evaluate-start").click().run()
    assert not app.exception
    assert any("answered none of these posts" in error.value for error in app.error)
