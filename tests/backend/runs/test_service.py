from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy.orm import Session

from backend import events
from backend.curation.service import CurationService
from backend.db.engine import Database
from backend.db.models import Evaluation, Job, Project, Run
from backend.db.models.content import Item, Split
from backend.db.models.curation import Handling
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobState
from backend.db.models.review import Source, Verdict
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.jobs.service import JobService
from backend.runs.choices import configure
from backend.runs.fine_tune import FineTune
from backend.runs.service import RunService
from backend.runs.views import NewDecisions
from tests.backend.build import add_judgement, add_project
from tests.backend.jobs import stand_in
from tests.backend.runs.build import COUNTS, add_decided_project, add_version, refresh, write_card
from training.adapter import CARD
from training.job import Job as TrainerJob
from training.pairs import read_pairs


def start(session: Session, project: Project) -> Run:
    version = add_version(session, project)
    return RunService(session).start(project.id, version_id=version.id, preset="quick", person="ada")


def finish(session: Session, run: Run) -> Path:
    """Do what the worker and the trainer do."""
    folder = Path(JobService(session).get(run.job_id).folder or "")
    FineTune(session).prepare(run, folder)
    stand_in.predict(folder)
    (folder / "metrics.json").write_text('{"model": {}}')
    stand_in.result(folder, "done", training={"step": 6}, hardware={})
    FineTune(session).collect(run, folder)
    session.get_one(Job, run.job_id).state = JobState.SUCCEEDED
    session.flush()
    return folder


def test_only_a_student_that_learned_both_ways_knows_both(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        service, version = RunService(session), add_version(session, project)
        for answers, forms, knows in (
            ("direct", ("direct",), False),
            ("reasoned", ("direct", "reasoned"), False),
            ("both", ("direct",), False),
            ("both", ("direct", "reasoned"), True),
        ):
            run = service.start(
                project.id,
                version_id=version.id,
                config=configure("quick", {"answers": answers}),
                person="ada",
            )
            write_card(finish(session, run), *forms)
            assert service.knows_both(run) is knows, (answers, forms)
        (service.adapter(run) / CARD).unlink()
        with pytest.raises(ConflictError, match=f"The student of run {run.number} is not there any more"):
            service.knows_both(run)


def kinds(session: Session) -> list[ModelKind]:
    return [evaluation.model_kind for evaluation in session.query(Evaluation).order_by(Evaluation.id)]


def test_a_run_is_written_for_the_trainer(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        run = start(session, project)
        folder = Path(JobService(session).get(run.job_id).folder or "")
        FineTune(session).prepare(run, folder)
        job = TrainerJob.read(folder)
        assert (job.kind, job.base_model, job.score_base) == ("train", "default", True)
        assert job.policy.codes == ("hate", "scam")
        train = pd.read_parquet(folder / "train.parquet")
        assert list(train.columns) == ["id", "text", "labels", "analysis", "harmful"]
        assert len(train) == sum(1 for _ in train["id"]) == next(iter(COUNTS.values()))
        assert train["id"].map(type).eq(str).all()
        thresholds, name = job.sets
        decided = pd.read_parquet(folder / "sets" / f"{thresholds}.parquet")
        assert list(decided.columns) == ["id", "text", "labels"]
        assert len(decided) > 0
        assert len(pd.read_parquet(folder / "sets" / f"{name}.parquet")) == 6
        written = (folder / "job.json").stat().st_mtime_ns
        FineTune(session).prepare(run, folder)
        assert (folder / "job.json").stat().st_mtime_ns == written
        (folder / "job.json").write_text('{"kind": "tr')
        FineTune(session).prepare(run, folder)
        assert TrainerJob.read(folder) == job


def test_what_comes_back_becomes_evaluations_the_base_models_once(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        first = start(session, project)
        finish(session, first)
        assert kinds(session) == [ModelKind.RUN, ModelKind.BASE, ModelKind.TEACHER]
        assert first.prompt_hash == stand_in.HASH
        assert first.result is not None
        assert first.result["metrics"] == {"model": {}}
        second = start(session, project)
        folder = finish(session, second)
        assert TrainerJob.read(folder).score_base is False
        assert kinds(session) == [ModelKind.RUN, ModelKind.BASE, ModelKind.TEACHER, ModelKind.RUN]
        newest, oldest = RunService(session).list(project.id)
        assert (newest.name, oldest.name, newest.handling) == ("run 2", "run 1", Handling.REVIEW)
        assert newest.headline is not None
        assert newest.headline.run_id == second.id
        said = [event.text for event in events.latest(session, project.id)]
        assert "Run 2 finished" in said[0]


def test_some_of_what_is_learned_is_scored_where_it_is_asked_for(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        version = add_version(session, project)
        service, curation = RunService(session), CurationService(session)
        plain = start(session, project)
        finish(session, plain)
        assert FineTune(session).scores_on_learned(plain) is None
        run = service.start(project.id, version_id=version.id, learned=5, person="ada")
        assert FineTune(session).scores_on_learned(run) is None
        folder = finish(session, run)
        scores = FineTune(session).scores_on_learned(run)
        sample = curation.training_sample(version.id, 5)
        assert scores is not None
        assert scores["id"].tolist() == sample["id"].tolist()
        assert set(scores["id"]) < set(pd.read_parquet(folder / "train.parquet")["id"])
        assert curation.training_sample(version.id, 99).shape[0] == COUNTS[Split.TRAIN]
        # It is no evaluation set: nobody compares models on what one of them has learned.
        assert kinds(session).count(ModelKind.RUN) == 2


def test_a_preference_step_gets_its_pairs_and_is_judged_beside_the_run_without_it(
    database: Database,
) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session, wrong=4)
        version = add_version(session, project)
        config = configure("quick", {"preference": "on"})
        service = RunService(session)
        run = service.start(project.id, version_id=version.id, config=config, person="ada")
        folder = finish(session, run)
        assert TrainerJob.read(folder).config.preference == config.preference
        assert len(read_pairs(folder / "pairs.parquet")) == 4
        held_out = read_pairs(folder / "validation_pairs.parquet")
        assert [pair.rejected.labels for pair in held_out] == [(), (), ("scam",), ()]
        # Before and after are two looks at one run: only what it is now is an evaluation of its own.
        assert kinds(session) == [ModelKind.RUN, ModelKind.BASE, ModelKind.TEACHER]
        [gain] = service.preference_gains(run.id)
        assert (gain.set_name, gain.posts, gain.macro_f1.difference) == ("test", 6, 0.0)
        assert gain.sentence.startswith("With the preference step macro-F1 is ")
        assert gain.sentence.endswith("no clear difference.")
        assert run.result is not None
        assert run.result["preference"]["gains"][0]["set_id"] == gain.set_id


def test_what_the_step_brought_is_a_paired_difference(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session, wrong=4)
        version = add_version(session, project)
        config = configure("quick", {"preference": "on"})
        service = RunService(session)
        run = service.start(project.id, version_id=version.id, config=config, person="ada")
        folder = Path(JobService(session).get(run.job_id).folder or "")
        FineTune(session).prepare(run, folder)
        stand_in.predict(folder)
        thresholds, name = TrainerJob.read(folder).sets
        for each in (thresholds, name):
            # Half of "hate" and of "scam" is what the stand-in says; after the step it knows.
            path = folder / "predictions" / f"{each}.parquet"
            posts = pd.read_parquet(folder / "sets" / f"{each}.parquet")["text"]
            table = pd.read_parquet(path)
            table["p_hate"] = posts.str.contains("people").map({True: 0.9, False: 0.1})
            table["p_scam"] = posts.str.contains("money").map({True: 0.9, False: 0.1})
            table.to_parquet(path)
        (folder / "metrics.json").write_text("{}")
        stand_in.result(folder, "done", preference={"step": 1})
        FineTune(session).collect(run, folder)
        [gain] = service.preference_gains(run.id)
        assert (gain.macro_f1.a, gain.macro_f1.clear) == (1.0, True)
        assert gain.sentence.startswith("With the preference step macro-F1 is 1.00, without it .50 (+.50, ")
        assert gain.sentence.endswith("): it helped.")
        assert run.result is not None
        assert run.result["preference"]["step"] == 1


def test_a_preference_step_without_corrections_is_refused_at_the_start(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        version = add_version(session, project)
        service = RunService(session)
        config = configure("quick", {"preference": "on"})
        with pytest.raises(InvalidInputError, match="nothing to learn a preference from"):
            service.start(project.id, version_id=version.id, config=config, person="ada")
        assert JobService(session).list() == []
        assert service.preference_gains(99) == []


def test_corrected_reasons_are_no_preference_for_a_student_without_reasons(database: Database) -> None:
    with database.write() as session:
        project, policy = add_decided_project(session)
        item = session.query(Item).where(Item.split == Split.TRAIN).first()
        assert item is not None
        add_judgement(
            session, policy, item, ("scam",), source=Source.REVIEW, verdict=Verdict.BAD_REASON, reason="mine"
        )
        refresh(session, project)
        version = add_version(session, project)
        service = RunService(session)
        direct, both = (
            configure("quick", {"preference": "on", "answers": each}) for each in ("direct", "both")
        )
        with pytest.raises(InvalidInputError, match="corrected reasons only"):
            service.start(project.id, version_id=version.id, config=direct, person="ada")
        assert service.start(project.id, version_id=version.id, config=both, person="ada").id


def test_champions_are_made_by_people_and_taken_back(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        run = start(session, project)
        service = RunService(session)
        with pytest.raises(ConflictError, match="has not finished"):
            service.promote(project.id, run.id, person="ada")
        finish(session, run)
        service.promote(project.id, run.id, person="ada")
        assert [summary.champion for summary in service.list(project.id)] == [True]
        service.promote(project.id, None, person="ada")
        assert project.champion_run_id is None
        assert "The base model became champion" in events.latest(session, project.id)[0].text
        other, _ = add_project(session, name="Other")
        with pytest.raises(NotFoundError):
            service.promote(other.id, run.id, person="ada")


def test_a_retraining_learns_new_decisions_as_the_champion_did(database: Database) -> None:
    with database.write() as session:
        project, policy = add_decided_project(session)
        service = RunService(session)
        assert service.new_decisions(project.id).count == sum(COUNTS.values())
        first = service.retrain(project.id, person="ada")
        assert (first.preset, first.base_model) == ("standard", "default")
        finish(session, first)
        assert service.new_decisions(project.id).count == 0
        service.promote(project.id, first.id, person="ada")
        first.config = configure("quick", {"rank": 4}).model_dump(mode="json")
        item = session.query(Item).first()
        assert item is not None
        add_judgement(session, policy, item, ("hate", "scam"))
        refresh(session, project)
        assert service.new_decisions(project.id).count == 1
        second = service.retrain(project.id, person="ada")
        assert second.config == first.config
        assert second.dataset_version_id != first.dataset_version_id
        job = session.get_one(Job, second.job_id)
        for state in (JobState.RUNNING, JobState.FAILED, JobState.STOPPED):
            job.state = state
            assert service.new_decisions(project.id) == NewDecisions(1, since=1)
        job.state = JobState.SUCCEEDED
        assert service.new_decisions(project.id) == NewDecisions(0, since=2)


def test_a_champion_is_scored_on_a_test_split_that_changed_since(database: Database) -> None:
    with database.write() as session:
        project, policy = add_decided_project(session)
        service, jobs = RunService(session), JobService(session)
        first = service.retrain(project.id, person="ada")
        finish(session, first)
        assert service.jobs_of(first) == (first.job_id,)
        service.promote(project.id, first.id, person="ada")
        unchanged = service.retrain(project.id, person="ada")
        assert service.jobs_of(unchanged) == (unchanged.job_id,)
        item = session.query(Item).where(Item.split == Split.TEST).first()
        assert item is not None
        add_judgement(session, policy, item, ("hate", "scam"))
        refresh(session, project)
        changed = service.retrain(project.id, person="ada")
        _, champion_job = service.jobs_of(changed)
        scoring = jobs.get(champion_job)
        assert scoring.payload["run_ids"] == [first.id]
        assert scoring.payload["set_ids"] == jobs.get(changed.job_id).payload["set_ids"]
        assert scoring.payload["set_ids"] != jobs.get(first.job_id).payload["set_ids"]


def test_runs_have_names(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        run = start(session, project)
        service = RunService(session)
        for name in (1, "1", "run 1", "Run 1", "#1"):
            assert service.get(project.id, name).id == run.id
        for name in ("2", "run", "", "run 1x"):
            with pytest.raises(NotFoundError):
                service.get(project.id, name)


def test_what_cannot_be_started_says_why(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        version = add_version(session, project)
        service = RunService(session)
        with pytest.raises(InvalidInputError, match="no folder"):
            service.start(project.id, version_id=version.id, base_model="./elsewhere", person="ada")
        with pytest.raises(NotFoundError, match="dataset version"):
            service.start(project.id, version_id=99, person="ada")
        other, _ = add_project(session, name="Other")
        with pytest.raises(InvalidInputError, match="another project"):
            service.start(other.id, version_id=version.id, person="ada")
        version.counts = {"rows": {"train": 0}}
        session.flush()
        with pytest.raises(InvalidInputError, match="no training rows"):
            service.start(project.id, version_id=version.id, person="ada")
        assert JobService(session).list() == []
