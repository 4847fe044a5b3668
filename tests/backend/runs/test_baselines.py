"""A team's own word list beside a run, as a job's folder has it."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Evaluation, Project
from backend.db.models.evaluation import ModelKind
from backend.evaluation.baselines.predicted import predict
from backend.evaluation.naming import in_a_sentence, pick
from backend.evaluation.results import ModelRow
from backend.evaluation.results_service import ResultsService
from backend.evaluation.service import EvaluationService
from backend.jobs.service import JobService
from backend.runs.fine_tune import FineTune
from backend.runs.service import RunService
from backend.word_lists.service import WordListService
from tests.backend.evaluation.build import add_yes_no_set
from tests.backend.jobs import stand_in
from tests.backend.runs.build import add_decided_project, add_version
from training.job import Job as TrainerJob


def give(session: Session, project: Project, folder: Path, content: str) -> None:
    path = folder / "list.csv"
    path.write_text(content, "utf-8")
    WordListService(session).import_file(project.id, path, person="ada")


def evaluate(session: Session, project: Project) -> None:
    """Do what the worker and the trainer do for one more run."""
    service = RunService(session)
    run = service.start(project.id, version_id=add_version(session, project).id, person="ada")
    folder = Path(JobService(session).get(run.job_id).folder or "")
    FineTune(session).prepare(run, folder)
    stand_in.predict(folder)
    predict(folder, TrainerJob.read(folder).policy.codes)
    (folder / "metrics.json").write_text("{}")
    stand_in.result(folder, "done")
    FineTune(session).collect(run, folder)


def listed(session: Session, project: Project, name: str = "test") -> list[ModelRow]:
    of = EvaluationService(session).get_set(project.id, name)
    rows = ResultsService(session).table(project.id, of.id)
    return [row for row in rows if row.model.startswith("own-words")]


def test_a_list_is_judged_from_its_import_on_and_its_figures_stay(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        evaluate(session, project)
        assert listed(session, project) == []
        give(session, project, tmp_path, "word,category\nFREE MONEY,scam\ngarden,\n")
        assert listed(session, project) == [], "what was evaluated before does not carry it"
        evaluate(session, project)
        [row] = listed(session, project)
        assert row.name == "Your word list, version 1"
        service = ResultsService(session)
        metrics = service.metrics(row.evaluation_id)
        # Of the six test posts two are scams, two hate and two harmless; "garden" stands in the harmless.
        hate, scam = metrics.categories
        assert (scam.precision, scam.recall, scam.f1, scam.auprc, scam.threshold) == (1, 1, 1, 1, 0.5)
        assert (hate.f1, hate.note) == (None, "Your word list has no word for it.")
        violation = metrics.any_violation
        assert (violation.support, violation.predicted, violation.hits) == (4, 4, 2)
        assert (violation.precision, violation.recall) == (0.5, 0.5)
        # A score of 0 or 1 has one step: the recall it has at its precision, the rest at the base rate.
        assert violation.auprc == pytest.approx(0.5 * 0.5 + 0.5 * 4 / 6)
        give(session, project, tmp_path, "word,category\ngo back,hate\n")
        evaluate(session, project)
        [newer] = listed(session, project)
        assert newer.name == "Your word list, version 2"
        assert service.metrics(row.evaluation_id) == metrics
        stored = session.query(Evaluation).filter(Evaluation.model.startswith("own-words")).all()
        assert sorted(one.model for one in stored) == ["own-words of version 1", "own-words of version 2"]
        both = service.compare(row.evaluation_id, newer.evaluation_id)
        assert both.sentence[0] == both.sentence[0].upper()
        assert "the your" not in both.sentence


def test_the_learned_list_stands_beside_it_under_another_name(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        give(session, project, tmp_path, "word\nmoney\n")
        evaluate(session, project)
        service = ResultsService(session)
        rows = service.table(project.id, EvaluationService(session).get_set(project.id, "test").id)
        assert {"Word list, version 1", "Your word list, version 1"} <= {row.name for row in rows}
        assert pick(rows, "own-words").name == "Your word list, version 1"
        assert pick(rows, "word-list").name == "Word list, version 1"
        assert in_a_sentence("Your word list, version 1", ModelKind.BASELINE) == "your word list, version 1"
        # Without a category the list says yes or no only.
        [row] = listed(session, project)
        metrics = service.metrics(row.evaluation_id)
        assert metrics.codes == ()
        assert (metrics.any_violation.precision, metrics.any_violation.recall) == (1, 0.5)


def test_a_list_judges_a_yes_no_set(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        project, policy = add_decided_project(session)
        other = add_yes_no_set(session, project, policy, [("some money", True), ("a garden", False)])
        give(session, project, tmp_path, "word,category\nmoney,scam\nflower,\n")
        service = RunService(session)
        run = service.start(
            project.id, version_id=add_version(session, project).id, set_ids=[other.id], person="ada"
        )
        folder = Path(JobService(session).get(run.job_id).folder or "")
        FineTune(session).prepare(run, folder)
        stand_in.predict(folder)
        predict(folder, TrainerJob.read(folder).policy.codes)
        (folder / "metrics.json").write_text("{}")
        stand_in.result(folder, "done")
        FineTune(session).collect(run, folder)
        [row] = listed(session, project, "hatecheck")
        assert (row.any_f1, row.exact_match) == (1, 1)
