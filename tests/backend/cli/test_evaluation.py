"""`overrule evaluate`: tables, comparisons, and scoring by the trainer itself."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner, Result

import backend.cli.evaluation  # noqa: F401
from backend.cli import app
from backend.db.engine import Database
from backend.db.models import EvaluationRow, Job, PolicyVersion, Project, Run
from backend.db.models.content import Split
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobKind
from backend.errors import OverruleError
from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.gain import write_gains
from backend.evaluation.results import Difference, Gain
from backend.evaluation.service import EvaluationService
from backend.evaluation.set_repository import SetRepository
from backend.jobs.service import JobService
from backend.policies.service import PolicyService
from backend.settings import get_settings
from tests.backend.build import add_project
from tests.backend.evaluation.build import add_decided, add_run, add_yes_no_set, frame
from tests.tiny_model import make_tiny_model

CODES = ("hate", "scam")
POSTS = {"send money": ("scam",), "go away all of you": ("hate",), "what a lovely day": (), "the bank": ()}


def evaluate(*arguments: str) -> Result:
    return overrule("evaluate", *arguments)


def overrule(*arguments: str) -> Result:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def posts(session: Session) -> tuple[Project, PolicyVersion]:
    project, policy = add_project(session, codes=CODES)
    for text, labels in POSTS.items():
        add_decided(session, project, policy, text, labels)
        add_decided(session, project, policy, f"{text}, they say", labels, Split.VALIDATION)
    return project, policy


def score(
    session: Session,
    project: Project,
    policy: PolicyVersion,
    kind: ModelKind,
    *,
    right: bool,
    model: str = "default",
) -> None:
    """An evaluation of a model that is always, or never, right."""
    service = EvaluationService(session)
    frozen = service.freeze_test_split(project.id, "ada")
    rows = SetRepository(session).rows(frozen.id)
    run = add_run(session, project, policy) if kind is ModelKind.RUN else None
    service.ingest(
        frozen.id,
        model_kind=kind,
        model=model,
        run_id=run.id if run else None,
        policy_version_id=policy.id,
        prompt_hash=None,
        validation=frame({}, CODES),
        predictions=frame(
            {
                row_id: [0.9 if (code in labels) == right else 0.1 for code in CODES]
                for row_id, labels in zip(rows.ids, rows.labels, strict=True)
            },
            CODES,
        ),
        person="ada",
    )


@pytest.fixture
def two_models(sqlite_database: Database) -> Database:
    with sqlite_database.write() as session:
        project, policy = posts(session)
        score(session, project, policy, ModelKind.RUN, right=True)
        score(session, project, policy, ModelKind.BASE, right=False)
    return sqlite_database


def test_the_table(two_models: Database) -> None:
    result = evaluate()
    printed = result.stdout
    assert "Run 1: Invalid answers: 0.0% of the probability goes to answers" in result.stderr
    assert "test, version 1, 4 posts" in printed
    best, champion = printed.index("Run 1"), printed.index("Base model (champion)")
    assert best < champion
    told = " ".join(result.stderr.split())
    assert "What needs no model: flag every post and F1 on any violation is " in told
    # All right, and of the harmless posts none is flagged.
    [of_run] = [line.split() for line in printed.splitlines() if line.startswith(" Run 1")]
    assert of_run[-2:] == ["100%", "0%"]
    assert "Run 1: the posts of this set have no groups." in evaluate("--by-group").stderr
    # All right, and four posts say little of others.
    assert re.search(r"1\.00 \(\.\d\d to 1\.00\)", printed)


def test_the_table_as_json(two_models: Database) -> None:
    [document] = json.loads(evaluate("--json").stdout)
    assert (document["set"], document["version"], document["posts"]) == ("test", 1, 4)
    first, second = document["models"]
    assert first["row"]["macro_f1"] == 1
    assert second["row"]["champion"] is True
    assert [category["code"] for category in second["metrics"]["categories"]] == list(CODES)
    for of_each in ("curves", "reliability"):
        assert [one["code"] for one in first[of_each]] == [*CODES, "*"]
    assert first["metrics"]["macro"]["auroc_interval"].keys() == {"low", "high"}
    assert (first["metrics"]["invalid"], first["metrics"]["unreadable"]) == (0, 0)
    assert first["metrics"]["exact_match_interval"] == {"low": pytest.approx(0.51, abs=0.01), "high": 1}


def test_two_models_side_by_side(two_models: Database) -> None:
    printed = evaluate("--compare", "run 1", "champion").stdout
    assert "Posts that only Run 1 got right: 4" in printed
    assert "Run 1 is better than the base model (macro-F1 +1.00" in printed.replace("\n", " ")
    [document] = json.loads(evaluate("--compare", "base", "1", "--json").stdout)
    assert document["comparison"]["macro_f1"]["difference"] == -1


def test_side_by_side_says_whether_a_student_beats_a_regression(two_models: Database) -> None:
    assert "logistic regression" not in evaluate("--compare", "run 1", "champion").stderr
    with two_models.write() as session:
        project = session.scalars(select(Project)).one()
        policy = PolicyService(session).newest(project.id)
        regression = BaselineModel(Baseline.REGRESSION, 1).model
        score(session, project, policy, ModelKind.BASELINE, right=True, model=regression)
    told = " ".join(evaluate("--compare", "run 1", "champion").stderr.split())
    assert "Run 1: It does not beat logistic regression taught the same posts" in told


def test_how_sure_each_difference_is_stands_beside_it(two_models: Database) -> None:
    printed = evaluate("--compare", "run 1", "champion").stdout
    assert "first − second" in printed and "McNemar" in printed
    # All four posts are right in all categories under the one and wrong under the other: of four tosses
    # all fall alike in 2 of 16 tries, and Holm doubles that for two categories.
    [hate] = [line for line in printed.splitlines() if line.startswith(" Hate")]
    assert hate.split()[-3:] == ["4", "0", ".250"]
    assert "(exact McNemar test: p .125)" in printed.replace("\n", " ")
    [document] = json.loads(evaluate("--compare", "run 1", "champion", "--json").stdout)
    assert [one["mcnemar_p"] for one in document["comparison"]["categories"]] == [0.25, 0.25]


def test_what_the_preference_step_brought_is_in_json(two_models: Database) -> None:
    same = Difference(0.5, 0.4, 0.1, -0.1, 0.3)
    with two_models.write() as session:
        run = session.scalars(select(Run)).one()
        [frozen] = EvaluationService(session).sets(run.project_id)
        gains = [
            Gain(set_id, "test", 1, 24, same, same, same, same, f"Of set {set_id}.")
            for set_id in (frozen.id, frozen.id + 1)
        ]
        run.result = {"preference": {"gains": write_gains(gains)}}
    [document] = json.loads(evaluate("--json").stdout)
    by_name = {model["row"]["name"]: model["preference_gains"] for model in document["models"]}
    [told] = by_name.pop("Run 1")
    assert (told["posts"], told["macro_f1"]["high"]) == (24, 0.3)
    assert list(by_name.values()) == [[]]


def test_names_that_mean_nothing(two_models: Database) -> None:
    with pytest.raises(OverruleError, match="Evaluated on it: Run 1, Base model"):
        evaluate("--compare", "run 7", "base")
    with pytest.raises(OverruleError, match="same model"):
        evaluate("--compare", "base", "champion")
    with pytest.raises(OverruleError, match="Sets: test"):
        evaluate("--set", "elsewhere")
    with pytest.raises(OverruleError, match="no run 'run 9'"):
        evaluate("--run", "run 9")
    assert evaluate("--compare", "base").exit_code == 2


def test_nothing_evaluated_yet(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        project, policy = posts(session)
        add_yes_no_set(session, project, policy, [("a", True)])
    result = evaluate("--set", "hatecheck")
    assert "hatecheck, version 1, 1 posts" in result.stdout
    assert "Nothing is evaluated" in result.stderr
    assert "no readable answer" in evaluate("--teacher").stderr


def test_no_project(sqlite_database: Database) -> None:
    with pytest.raises(OverruleError, match="no project yet"):
        evaluate()


def test_a_job_for_the_worker(two_models: Database) -> None:
    started = json.loads(evaluate("--base", "--background", "--json").stdout)
    assert started["title"] == "Score base model on test"
    with two_models.read() as session:
        assert JobService(session).get(started["job_id"]).kind is JobKind.SCORE


def test_models_are_scored_again_when_labels_changed(two_models: Database) -> None:
    assert "no model is scored again" in evaluate("--again").stderr
    with two_models.write() as session:
        project = session.scalars(select(Project)).one()
        add_decided(session, project, PolicyService(session).newest(project.id), "lovely money", ("hate",))
    assert "2 models can be scored again" in evaluate().stderr
    [document] = json.loads(evaluate("--json").stdout)
    assert (document["version"], document["behind"]) == (1, 2)
    started = json.loads(evaluate("--again", "--background", "--json").stdout)
    assert started["title"] == "Score base model, run 1 on test"


@pytest.fixture
def checks(sqlite_database: Database) -> Database:
    """The base model on a yes/no set in two groups: it flags one of two harmless posts."""
    with sqlite_database.write() as session:
        project, policy = posts(session)
        posts_of = [("a slur", True), ("a joke", False), ("a [b]quote[/b]", False)]
        found = add_yes_no_set(session, project, policy, posts_of)
        found.group_by, found.language = "kind", "de"
        of_the_set = select(EvaluationRow).where(EvaluationRow.set_id == found.id)
        rows = session.scalars(of_the_set.order_by(EvaluationRow.id)).all()
        for row, kind in zip(rows, ("slur", "other", "other"), strict=True):
            row.meta = {"kind": f"[bold]{kind}"}
        said = zip(rows, (0.9, 0.9, 0.1), strict=True)
        EvaluationService(session).ingest(
            found.id,
            model_kind=ModelKind.BASE,
            model="default",
            policy_version_id=policy.id,
            prompt_hash=None,
            validation=frame({}, CODES),
            predictions=frame({row.id: (score, 0.1) for row, score in said}, CODES),
            person="ada",
        )
    return sqlite_database


def test_groups_and_over_flagging(checks: Database) -> None:
    result = evaluate("--set", "hatecheck")
    assert "hatecheck, version 1, 3 posts, de" in result.stdout
    assert "[bold]slur" not in result.stdout
    assert "Base model flags 50% (9 to 91) of 2 harmless posts and finds 100%" in " ".join(
        result.stderr.split()
    )
    shown = evaluate("--set", "hatecheck", "--by-group").stdout
    assert shown.index("[bold]other") < shown.index("[bold]slur"), "the worst first"
    assert "1 of 2" in shown
    [document] = json.loads(evaluate("--set", "hatecheck", "--json").stdout)
    found = document["models"][0]["breakdown"]
    assert (document["language"], found["group_by"]) == ("de", "kind")
    assert [(group["name"], group["right"]["share"]) for group in found["groups"]] == [
        ("[bold]other", 0.5),
        ("[bold]slur", 1),
    ]
    assert (found["false_alarms"]["count"], found["false_alarms"]["of"]) == (1, 2)


def test_a_robustness_set_from_the_command_line(checks: Database) -> None:
    made = overrule("robustness", "--set", "hatecheck")
    assert "hatecheck, disguised, version 1: 3 posts." in made.stderr
    assert json.loads(overrule("robustness", "--set", "hatecheck", "--json").stdout) == {
        "set": "hatecheck, disguised",
        "version": 1,
        "posts": 3,
        "made_from": 1,
    }
    with checks.write() as session:
        service = EvaluationService(session)
        found = service.get_set(1, "hatecheck, disguised")
        rows = SetRepository(session).rows(found.id)
        service.ingest(
            found.id,
            model_kind=ModelKind.BASE,
            model="default",
            policy_version_id=found.policy_version_id,
            prompt_hash=None,
            validation=frame({}, CODES),
            predictions=frame(dict.fromkeys(rows.ids, (0.1, 0.1)), CODES),
            person="ada",
        )
    result = evaluate("--set", "hatecheck, disguised", "--by-group")
    assert "Base model, what disguises cost" in result.stdout
    assert "Base model: Disguised posts cost it" in " ".join(result.stderr.split())
    [document] = json.loads(evaluate("--set", "hatecheck, disguised", "--json").stdout)
    drop = document["models"][0]["drop"]
    # Of two flagged posts one was a violation; now none is flagged.
    assert drop["overall"]["f1"]["a"] == pytest.approx(2 / 3)
    assert drop["overall"]["f1"]["b"] == 0
    [document] = json.loads(evaluate("--set", "hatecheck", "--json").stdout)
    assert document["models"][0]["drop"] is None


def test_the_test_split_is_frozen_to_be_disguised(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        posts(session)
    assert json.loads(overrule("robustness", "--json").stdout)["set"] == "test, disguised"


def test_a_student_can_be_asked_for_a_reason_first(two_models: Database) -> None:
    evaluate("--run", "1", "--inference", "reasoned", "--background")
    with two_models.read() as session:
        [job] = session.scalars(select(Job).where(Job.kind == JobKind.SCORE))
        assert job.payload["inference"] == "reasoned"
    assert evaluate("--run", "1", "--inference", "loud").exit_code == 2


@pytest.mark.slow
def test_the_base_model_is_scored_by_the_trainer(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERRULE_BASE_MODEL", str(make_tiny_model(tmp_path / "tiny")))
    get_settings.cache_clear()
    with sqlite_database.write() as session:
        project, policy = posts(session)
        add_yes_no_set(session, project, policy, [("go back", True), ("hello", False)])
    documents = json.loads(evaluate("--base", "--set", "test", "--set", "hatecheck", "--json").stdout)
    # Nothing can be taught yet, so of the baselines only the one that learns nothing is there.
    for document in documents:
        assert sorted(model["row"]["kind"] for model in document["models"]) == ["base", "baseline"]
    [row] = [model["row"] for model in documents[0]["models"] if model["row"]["kind"] == "base"]
    assert row["posts"] == 4
    assert row["macro_auprc"] is not None
