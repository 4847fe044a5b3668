"""The sample project as it is shipped: its numbers, and that it loads through the importers."""

import csv
import json
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select
from tokenizers import Tokenizer

from backend.base_models import local_folder
from backend.db.engine import Database
from backend.db.models import Item, ItemLabel, TeacherAnswer
from backend.db.models.content import Agreement, Queue
from backend.intake.sample import FOLDER, load_sample
from backend.policies.service import PolicyService
from backend.policies.yaml import categories_from_yaml
from backend.settings import get_settings
from training.policy import Policy
from training.prompt import FORMS, system_message

SPLITS = {"train": 240, "validation": 60, "test": 100}


def posts() -> dict[str, dict[str, str]]:
    with (FOLDER / "posts.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def answers() -> dict[str, dict[str, Any]]:
    with (FOLDER / "answers.jsonl").open(encoding="utf-8") as file:
        return {answer["id"]: answer for answer in map(json.loads, file)}


def gold(row: dict[str, str]) -> set[str]:
    return set(row["labels"].split(";")) - {"none"}


def policy() -> Policy:
    rules = (FOLDER / "policy.yaml").read_text("utf-8")
    return Policy(categories=tuple(categories_from_yaml(rules)))


def test_it_has_each_category_in_each_split() -> None:
    found = posts()
    assert Counter(row["split"] for row in found.values()) == SPLITS
    assert found.keys() == answers().keys()
    for split in SPLITS:
        labels = Counter(code for row in found.values() if row["split"] == split for code in gold(row))
        assert set(labels) == set(policy().codes)
        assert min(labels.values()) >= 5
        assert any(not gold(row) for row in found.values() if row["split"] == split)


def test_one_answer_in_five_is_wrong_and_the_recheck_mends_half_of_these() -> None:
    found = posts()
    wrong = {name for name, answer in answers().items() if set(answer["labels"]) != gold(found[name])}
    rechecked = {name: answer for name, answer in answers().items() if "recheck_labels" in answer}
    mended = [
        name for name, answer in rechecked.items() if set(answer["recheck_labels"]) == gold(found[name])
    ]
    assert len(wrong) == 80
    assert rechecked.keys() == wrong
    assert len(mended) == 40


def test_harmful_spans_are_quoted_from_the_post() -> None:
    found = posts()
    for name, answer in answers().items():
        for span in (*answer["harmful"], *answer.get("recheck_harmful", ())):
            assert span in found[name]["text"], name
        assert answer["analysis"].strip()


def test_it_loads_whole_and_only_once(database: Database) -> None:
    with database.write() as session:
        project = load_sample(session, "tester")
        again = load_sample(session, "tester")
        assert again.id == project.id
    with database.read() as session:
        splits = session.execute(select(Item.split, func.count()).group_by(Item.split))
        assert {split.value: count for split, count in splits} == SPLITS
        kinds = dict(session.execute(select(Item.agreement, func.count()).group_by(Item.agreement)).all())
        assert kinds.pop(Agreement.AGREES) == 320
        assert kinds.keys() <= {Agreement.FALSE_ALARM, Agreement.MISSED, Agreement.OTHER_LABELS}
        assert sum(kinds.values()) == 80
        rounds = session.execute(select(TeacherAnswer.round, func.count()).group_by(TeacherAnswer.round))
        assert dict(rounds.all()) == {0: 400, 1: 80}
        assert session.scalar(select(func.count()).where(Item.queue == Queue.TEACHER)) == 400
        stored = PolicyService(session).newest(project.id)
        assert PolicyService(session).training_policy(stored) == policy()
        assert set(session.scalars(select(ItemLabel.code).distinct())) == set(policy().codes)


@pytest.mark.base_model
def test_the_policy_takes_at_most_150_tokens() -> None:
    folder = local_folder("default", get_settings())
    if folder is None:
        pytest.skip("the default base model is not there; `overrule models pull` fetches it")
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for form in FORMS:
        message = tokens.encode(system_message(policy(), form), add_special_tokens=False)
        assert len(message.ids) <= 150
