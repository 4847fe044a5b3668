"""Estimates: what is counted, how time and memory follow from an earlier job, and what speaks against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import DatasetRow, DatasetVersion, Job
from backend.db.models.content import Split
from backend.db.models.jobs import JobState
from backend.errors import ConflictError
from backend.evaluation.service import EvaluationService
from backend.jobs.service import JobService
from backend.runs.cautions import MOST_RATE_FULL
from backend.runs.choices import configure
from backend.runs.estimate import phases
from backend.runs.estimates import EstimateService
from backend.runs.service import RunService
from backend.runs.speeds import MEASURED, Pace, best_pace, measure
from backend.runs.views import Estimate
from backend.runs.workload import Plan, Posts, Workload, workload
from backend.settings import Settings
from tests.backend.runs.build import add_decided_project, add_version
from tests.backend.runs.test_service import finish
from tests.tiny_model import make_tiny_model
from training.adapter import config_hash
from training.cost import Shape, lower_bytes, peak_memory
from training.data import Encoded, Row, encode, epoch_batches
from training.job import Config, Preference
from training.layout import tokens_computed
from training.machine import MEGABYTE
from training.policy import Category, Policy
from training.prompt import Renderer
from training.speed import Machine, Speed, pace_key

POLICY = Policy(categories=(Category(code="hate", name="Hate"), Category(code="scam", name="Scam")))


@pytest.fixture(autouse=True)
def _on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home)


def rows(count: int) -> list[Row]:
    kinds: list[tuple[str, ...]] = [("scam",), ("hate",), ()]
    return [
        Row(str(n), f"Free money now {'today ' * (n % 7)}{n}", kinds[n % 3], "It says so." if n % 2 else None)
        for n in range(count)
    ]


def plan(config: Config, count: int = 40, sample: int | None = None, **fields: Any) -> Plan:
    values: dict[str, Any] = {
        "validation_rows": 10,
        "choosing": Posts(10, 300),
        "sets": [Posts(20, 600)],
        **{"score_base": False, "pairs": 0, "free": 1e9, "device": "cpu"},
    } | fields
    return Plan(config=config, rows=count, sample=rows(sample or count), **values)


def count(tiny: Path, wanted: Plan, budget: int = 200) -> Workload:
    found = workload(wanted, Renderer(tiny, POLICY), Shape.read(tiny), budget)
    assert found is not None
    return found


def test_tokens_are_those_of_the_batches_that_will_be_computed(tiny: Path) -> None:
    config = Config(batch_size=8, answers="both", max_length=256)
    found = count(tiny, plan(config))
    encoded = encode(rows(40), Renderer(tiny, POLICY), "both", 256)
    examples = encoded.examples
    order = epoch_batches(len(examples), 8, config.seed, 0)
    batches = [[examples[index] for index in batch] for batch in order]
    assert found.examples == len(examples) == 60
    assert found.steps == 3 * 8
    assert found.learned_tokens == encoded.learned_tokens
    assert found.tokens == sum(tokens_computed(batch, 200) for batch in batches)
    # A peer computes the policy before each post, and pads.
    assert found.peer_tokens == sum(len(batch) * max(map(len, batch)) for batch in batches)
    assert found.peer_tokens > 2 * found.tokens
    assert found.longest_row <= 200


def test_a_sample_stands_for_all_rows(tiny: Path) -> None:
    config = Config(batch_size=8, max_length=256)
    whole, part = count(tiny, plan(config, 400)), count(tiny, plan(config, 400, sample=60))
    assert (part.complete, whole.complete) == (False, True)
    assert part.examples == whole.examples == 400
    for name in ("tokens", "peer_tokens", "learned_tokens", "training", "validating", "scoring"):
        assert getattr(part, name) == pytest.approx(getattr(whole, name), rel=0.05), name


def test_frozen_layers_are_computed_once_where_there_is_memory_for_it(tiny: Path) -> None:
    config = Config(batch_size=8, max_length=256, layers=0.5)
    kept, tight = count(tiny, plan(config)), count(tiny, plan(config, free=1e4))
    encoded = encode(rows(40), Renderer(tiny, POLICY), "direct", 256)
    own = sum(len(example) - len(example.prefix) for example in encoded.examples)
    assert (kept.kept_tokens, tight.kept_tokens) == (round(own * 50 / 40), 0)
    assert kept.training < tight.training
    assert kept.validating < tight.validating
    # In a single pass nothing is spared but what validation looks at.
    once = config.model_copy(update={"epochs": 1})
    least, most = (count(tiny, plan(once, free=free)).training for free in (1e4, 1e9))
    assert least < most < 1.2 * least


def test_a_preference_step_adds_its_own_work(tiny: Path) -> None:
    config = Config(batch_size=8, max_length=256)
    with_step = config.model_copy(update={"preference": Preference(epochs=2)})
    without = count(tiny, plan(config, pairs=0))
    some, more = (count(tiny, plan(with_step, pairs=pairs)) for pairs in (10, 20))
    assert without.preferring == 0
    assert 0 < some.preferring < more.preferring < 2 * some.preferring
    assert some.scoring == pytest.approx(2 * without.scoring)
    assert some.training == without.training


def test_work_grows_with_what_is_asked_for(tiny: Path) -> None:
    config = Config(batch_size=8, max_length=256, layers=0.5)
    least = count(tiny, plan(config))
    once, twice = (
        count(tiny, plan(config.model_copy(update={"epochs": epochs}), free=1e4)) for epochs in (3, 6)
    )
    assert twice.training == pytest.approx(2 * once.training)
    assert count(tiny, plan(config.model_copy(update={"layers": 1.0}))).training > least.training
    both = count(tiny, plan(config, score_base=True))
    assert both.scoring == pytest.approx(2 * least.scoring)
    judged = count(tiny, plan(config.model_copy(update={"choose": "macro_f1"})))
    assert judged.validating > least.validating
    assert (judged.training, judged.scoring) == (least.training, least.scoring)
    assert count(tiny, plan(config, validation_rows=0)).validating == 0


def test_reasons_that_are_written_first_are_counted(tiny: Path) -> None:
    direct, reasoned, both = (
        count(tiny, plan(Config(batch_size=8, max_length=256, answers=answers)))
        for answers in ("direct", "reasoned", "both")
    )
    assert reasoned.scoring > 1.2 * direct.scoring
    assert both.scoring == pytest.approx(direct.scoring)
    assert both.asking_again == pytest.approx(reasoned.scoring, rel=0.01)
    assert direct.asking_again == reasoned.asking_again == 0


def test_rows_that_cannot_be_learned_leave_nothing_to_count(tiny: Path) -> None:
    wanted = plan(Config(max_length=32))
    assert workload(wanted, Renderer(tiny, POLICY), Shape.read(tiny), 200) is None


def speed(base: Path, config: Config, **fields: Any) -> Speed:
    values: dict[str, Any] = {
        "machine": Machine.here(),
        "base_model": config_hash(base),
        "pace": pace_key(config),
        "flops_per_second": {"training": 1e9, "validating": 2e9, "scoring": 4e9},
        "loading_seconds": 5.0,
        "saving_seconds": 0.5,
        "row_tokens": 300,
        "longest_row": 250,
        "kept_tokens": 0,
        "peak_bytes": 7e8,
    }
    return Speed.model_validate(values | fields)


def work(**fields: Any) -> Workload:
    values: dict[str, Any] = {
        **dict.fromkeys(("examples", "steps", "tokens", "peer_tokens", "learned_tokens", "longest_row"), 1),
        **{"longest_example": 1, "kept_tokens": 0, "preferring": 0.0},
        **{"validations": 3, "training": 120e9, "validating": 20e9, "scoring": 40e9},
        **{"asking_again": 0.0, "encoded": Encoded(), "complete": True},
    }
    return Workload(**(values | fields))


def test_time_is_work_over_pace_with_loading_and_checkpoints(tiny: Path) -> None:
    found = phases(work(), Pace(speed(tiny, Config()), Config(), "run 1"))
    assert found.loading == 5
    # 120 s of steps, 10 s of validation; saved at each validation, at the end, and each minute.
    assert found.training == pytest.approx(130 + (3 + 1 + 130 / 60) * 0.5)
    assert found.scoring == pytest.approx(10)
    assert found.total == pytest.approx(found.loading + found.training + found.scoring)
    preferred = phases(work(preferring=30e9), Pace(speed(tiny, Config()), Config(), "run 1"))
    assert preferred.total == pytest.approx(found.total + 30)
    again = phases(work(asking_again=80e9), Pace(speed(tiny, Config()), Config(), "run 1"))
    assert (again.asking_again, again.total) == (pytest.approx(20), pytest.approx(found.total))
    alone = speed(tiny, Config(), flops_per_second={"training": 1e9})
    assert phases(work(), Pace(alone, Config(), "run 1")).scoring == pytest.approx(40)


class Scene:
    """A project with a version, and a base model that is here."""

    def __init__(self, session: Session, settings: Settings, tiny: Path) -> None:
        self.session, self.settings, self.tiny = session, settings, tiny
        self.project, self.policy = add_decided_project(session)
        self.version = add_version(session, self.project)

    def estimate(self, config: Config | None = None, **fields: Any) -> Estimate:
        service = EstimateService(self.session, self.settings)
        return service.estimate(
            fields.pop("version", self.version).id, config or configure("quick"), str(self.tiny), **fields
        )

    def run(self, config: Config, told: Speed) -> None:
        """A finished run that tells a speed as the trainer does."""
        run = RunService(self.session, self.settings).start(
            self.project.id,
            version_id=self.version.id,
            config=config,
            base_model=str(self.tiny),
            person="ada",
        )
        finish(self.session, run)
        run.result = (run.result or {}) | result(told)
        self.session.flush()


def result(told: Speed) -> dict[str, Any]:
    about = told.machine.model_dump()
    return {
        "hardware": {name: about[name] for name in ("device", "processor", "cores", "gpu")},
        "versions": {name: about[name] for name in ("torch", "overrule")},
        "base_model": {"config": told.base_model},
        "timings": {"starting": 1.0, "fetching": 99.0, "loading": told.loading_seconds - 1.0},
        "peak_memory_mb": {"process": told.peak_bytes / MEGABYTE},
        "speed": told.model_dump(
            include={"pace", "flops_per_second", "saving_seconds", "row_tokens", "longest_row", "kept_tokens"}
        ),
    }


@pytest.fixture
def scene(sqlite_database: Database, settings: Settings, tiny: Path) -> Any:
    with sqlite_database.write() as session:
        yield Scene(session, settings, tiny)


def test_without_an_earlier_job_the_time_is_not_known(scene: Scene) -> None:
    found = scene.estimate()
    assert (found.examples, found.steps) == (12, 8)
    assert (found.phases, found.seconds, found.pace, found.memory_measured) == (None, None, None, False)
    assert found.memory is not None
    assert found.memory_free > 0
    reasons = scene.estimate(configure("thorough"))
    assert reasons.examples == 24
    assert (reasons.tokens or 0) > (found.tokens or 0)


def test_what_a_result_tells_is_read_back(tiny: Path) -> None:
    told = speed(tiny, Config())
    assert Speed.of(result(told)) == told
    assert Speed.of({}) is None
    assert Speed.of({"speed": {"flops_per_second": {"scoring": 1.0}}}) is None


def test_the_pace_is_that_of_the_last_run_of_equal_settings(scene: Scene) -> None:
    config = configure("quick")
    other = configure("quick", {"layers": 1.0})
    scene.run(config, speed(scene.tiny, config))
    scene.run(other, speed(scene.tiny, other, loading_seconds=50.0))
    found = scene.estimate(config.model_copy(update={"epochs": 9, "learning_rate": 1e-4}))
    assert (found.pace, found.pace_alike) == ("run 1", True)
    assert found.phases is not None
    assert found.phases.loading == 5
    scaled = scene.estimate(configure("quick", {"rank": 2}))
    assert (scaled.pace, scaled.pace_alike) == ("run 2", False)


@pytest.mark.parametrize(
    "changed",
    [
        {"base_model": "another"},
        {"machine": {"processor": "another"}},
        {"machine": {"cores": 999}},
        {"machine": {"device": "cuda", "gpu": "NVIDIA H200"}},
        {"machine": {"torch": "1.0"}},
    ],
)
def test_a_pace_of_another_machine_or_model_is_none(scene: Scene, changed: dict[str, Any]) -> None:
    config = configure("quick")
    changed = dict(changed)
    if "machine" in changed:
        changed["machine"] = Machine.here().model_copy(update=changed["machine"])
    scene.run(config, speed(scene.tiny, config, **changed))
    assert scene.estimate(config).pace is None


def test_where_trainers_run_elsewhere_their_pace_counts(scene: Scene) -> None:
    config = configure("quick")
    there = Machine.here().model_copy(update={"cores": 999})
    scene.run(config, speed(scene.tiny, config, machine=there))
    scene.settings.launcher = "ray"
    assert scene.estimate(config).pace == "run 1"
    with pytest.raises(ConflictError, match="on Ray"):
        EstimateService(scene.session, scene.settings).trial(scene.version.id, config, str(scene.tiny))


def test_memory_is_the_earlier_peak_and_the_formulas_difference(scene: Scene) -> None:
    config = configure("quick")
    scene.run(config, speed(scene.tiny, config, longest_row=250, kept_tokens=90))
    shape = Shape.read(scene.tiny)
    wanted = configure("quick", {"rank": 2, "layers": 1.0})
    found = scene.estimate(wanted)
    assert found.memory is not None and found.memory_measured
    before = peak_memory(shape, config, 250, "cpu") + lower_bytes(shape, config, 90, "cpu")
    # How long the longest row will be is not told; it has some posts, and fits the budget.
    low, high = (peak_memory(shape, wanted, longest, "cpu") for longest in (100, 400))
    assert low < found.memory - 7e8 + before < high


def test_a_measurement_is_a_short_run_that_is_thrown_away(
    sqlite_database: Database, settings: Settings, tiny: Path
) -> None:
    config = configure("quick", {"batch_size": 64, "rank": 4})
    with sqlite_database.write() as session:
        version = add_version(session, add_decided_project(session)[0])
        trial = EstimateService(session, settings).trial(version.id, config, str(tiny))
    told = measure(trial, settings)
    assert told.machine == Machine.here()
    assert told.pace == pace_key(config)
    assert set(told.flops_per_second) == {"training", "validating", "scoring"}
    pace = best_pace(tiny, config, [], settings)
    assert pace is not None
    assert (pace.source, pace.alike, pace.speed) == (MEASURED, True, told)
    with sqlite_database.read() as session:
        found = EstimateService(session, settings).estimate(version.id, config, str(tiny))
        assert JobService(session).list() == []
    assert (found.pace, found.pace_alike, found.memory_measured) == (MEASURED, True, False)
    assert found.seconds is not None
    # A process that scores a few posts with a tiny model does not come near a job's peak.
    assert told.peak_bytes < peak_memory(Shape.read(tiny), config, 0, "cpu") < (found.memory or 0)
    # A file that somebody spoiled is passed over.
    next((settings.home / "speeds").glob("*.json")).write_text("{")
    assert best_pace(tiny, config, [], settings) is None


def test_nothing_is_measured_beside_a_trainer_that_is_at_work(scene: Scene) -> None:
    run = RunService(scene.session).start(scene.project.id, version_id=scene.version.id, person="ada")
    scene.session.get_one(Job, run.job_id).state = JobState.RUNNING
    scene.session.flush()
    with pytest.raises(ConflictError, match="at work"):
        EstimateService(scene.session, scene.settings).trial(
            scene.version.id, configure("quick"), str(scene.tiny)
        )
    with pytest.raises(ConflictError, match="not on this computer"):
        EstimateService(scene.session, scene.settings).trial(
            scene.version.id, configure("quick"), "some/model"
        )


def test_sets_are_counted_as_the_trainer_will_score_them(database: Database) -> None:
    with database.write() as session:
        project, _ = add_decided_project(session)
        service = EvaluationService(session)
        assert service.frozen_test_split(project.id) is None
        assert service.size_of_split(project.id, Split.VALIDATION).posts == 6
        frozen = service.freeze_test_split(project.id, "ada")
        found = service.frozen_test_split(project.id)
        assert found is not None
        assert found.id == frozen.id
        assert service.size_of_set(frozen.id) == service.size_of_split(project.id, Split.TEST)
        assert service.size_of_set(frozen.id).characters > 6 * 20


def messages(found: Estimate) -> str:
    return "\n".join(f"{caution.message} {caution.hint}" for caution in found.cautions)


@pytest.mark.parametrize(
    ("changes", "words", "fatal"),
    [
        ({"max_length": 8192}, "sequence length of 8,192 is more than the base model's 4,096", True),
        ({"rank": 64}, "LoRA rank 64 is more than the layer k_proj can use: its smaller side is 32", True),
        ({"targets": "c_attn,c_proj"}, "The LoRA targets match no layer", True),
        ({"method": "qlora"}, "The method qlora keeps the base model in 4 bits, which needs a GPU", True),
        ({"max_length": 40}, "None of the rows can be learned", True),
        ({"batch_size": 64}, "A batch of 64 is more than the 12 examples there are", False),
        ({"epochs": 2}, "4 steps are too few", False),
        ({"learning_rate": 1e-5, "epochs": 100}, "A rate of 1e-05 over 200 steps hardly moves", False),
        ({"patience": 6}, "With 6 validations a patience of 6 ends no run early", False),
    ],
)
def test_settings_that_cannot_fit_or_learn_are_said(
    scene: Scene, changes: dict[str, Any], words: str, fatal: bool
) -> None:
    calm = scene.estimate(configure("quick", {"epochs": 40}))
    assert calm.cautions == ()
    found = scene.estimate(configure("quick", {"epochs": 40} | changes))
    said = [caution for caution in found.cautions if words in caution.message]
    assert [caution.fatal for caution in said] == [fatal], messages(found)
    # What makes it impossible comes first.
    assert [caution.fatal for caution in found.cautions] == sorted(
        (caution.fatal for caution in found.cautions), reverse=True
    )


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"max_length": 8192}, "max_length"),
        ({"rank": 64}, "rank"),
        ({"targets": "c_attn"}, "targets"),
        ({"method": "qlora"}, "method"),
        ({"max_length": 40}, "max_length"),
    ],
)
def test_what_is_impossible_names_the_setting_to_change(
    scene: Scene, changes: dict[str, Any], setting: str
) -> None:
    found = scene.estimate(configure("quick", {"epochs": 40} | changes)).cautions
    assert [caution.setting for caution in found if caution.blocks] == [setting]


@pytest.mark.parametrize(("rate", "said"), [(1e-3, True), (MOST_RATE_FULL, False), (1e-5, False)])
def test_full_fine_tuning_at_the_rate_of_lora_is_cautioned(scene: Scene, rate: float, said: bool) -> None:
    full = scene.estimate(configure("quick", {"epochs": 40, "method": "full", "learning_rate": rate}))
    assert ("suits LoRA" in messages(full)) is said
    assert not any(caution.fatal for caution in full.cautions)
    lora = scene.estimate(configure("quick", {"epochs": 40, "learning_rate": 1e-3}))
    assert "suits LoRA" not in messages(lora)


def test_what_this_computer_lacks_says_nothing_of_a_cluster(scene: Scene) -> None:
    config = configure("quick", {"epochs": 40, "method": "qlora"})
    assert [caution.blocks for caution in scene.estimate(config).cautions] == [True]
    scene.settings.launcher = "ray"
    assert scene.estimate(config).cautions == ()


def test_memory_that_is_not_there_is_said(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.machine.free_memory", lambda: 300 * 10**6)
    said = scene.estimate(configure("quick", {"epochs": 40})).cautions
    assert said[0].fatal
    # Who waits for another run that holds the memory now can be queued.
    assert not said[0].blocks
    assert said[0].message.endswith("of memory, and 0.3 GB are free.")
    # Where smaller rows would do, it goes on with these.
    exact = configure("quick", {"epochs": 40, "precision": "float32"})
    least = peak_memory(Shape.read(scene.tiny), exact, 120, "cpu")
    monkeypatch.setattr("training.machine.free_memory", lambda: least)
    [tight] = scene.estimate(exact).cautions
    assert (tight.fatal, "Rows are made smaller" in tight.hint) == (False, True)


def test_rows_that_teach_little_are_said(scene: Scene) -> None:
    config = configure("quick", {"epochs": 40})
    version: DatasetVersion = scene.version

    def taught(*labels: tuple[str, ...]) -> str:
        found = scene.session.query(DatasetRow).filter_by(version_id=version.id, split=Split.TRAIN).all()
        for index, row in enumerate(found):
            row.labels = labels[index % len(labels)]
        scene.session.flush()
        return messages(scene.estimate(config))

    assert "same answer, so there is nothing to tell apart" in taught(("scam",))
    assert "No row to learn breaks no rule" in taught(("scam",), ("hate",))
    assert "No row to learn is Hate, so the student cannot learn that" in taught(("scam",), ())
    version.counts = version.counts | {"rows": {"train": 1, "validation": 0}}
    scene.session.flush()
    said = taught(("scam",), ())
    assert "There are 1 rows for 2 categories" in said
    assert "There are no validation rows" in said


def test_without_the_base_model_what_the_rows_say_is_still_said(scene: Scene) -> None:
    found = EstimateService(scene.session, scene.settings).estimate(
        scene.version.id, configure("quick"), "some/model"
    )
    assert (found.examples, found.steps, found.tokens, found.memory) == (12, None, None, None)
    assert found.cautions == ()
