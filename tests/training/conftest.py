"""A tiny base model made on the spot, a policy, and rows to learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.tiny_model import make_tiny_model
from training.data import Row
from training.job import Config, Job
from training.pairs import PairRow
from training.policy import Category, Policy
from training.prompt import Answer, Example, Renderer
from training.student import Student

POLICY = Policy(
    categories=(
        Category(code="scam", name="Scam", definition="tricks people out of money."),
        Category(code="hate", name="Hate", definition="demeans people for origin or religion."),
        # One name begins another, and one has many tokens.
        Category(code="hate_speech", name="Hate speech", definition="says so in public."),
        Category(code="xq", name="Xylophone quarrel", definition="is about zyzzyva."),
    )
)

SCAMS = [
    "Free money now! Click here",
    "win a prize today",
    "give us your password",
    "free money, click here today",
]
HATES = [
    "Those people should go back",
    "go back where you came from",
    "those people are all bad",
    "they should go",
]
FINES = [
    "What a lovely day in the garden",
    "See you at the match tonight",
    "bring your friends",
    "the best bread",
]


def make_rows(count: int = 24, *, analysis: bool = True) -> list[Row]:
    """Rows that a small model can learn by their words."""
    kinds = [(SCAMS, ("scam",)), (HATES, ("hate",)), (FINES, ())]
    rows = []
    for index in range(count):
        texts, labels = kinds[index % 3]
        text = f"{texts[(index // 3) % len(texts)]} {'today ' * (index % 5)}{index}"
        reason = f"The post says {index % 7}." if analysis and index % 4 else None
        rows.append(Row(f"r{index}", text, labels, reason, ("money",) if labels == ("scam",) else ()))
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(
        {
            "id": [row.id for row in rows],
            "text": [row.text for row in rows],
            "labels": [None if row.labels is None else list(row.labels) for row in rows],
            "analysis": pd.Series([row.analysis for row in rows], dtype="object"),
            "harmful": [list(row.harmful) for row in rows],
        }
    ).to_parquet(path)


def make_pairs(count: int = 8) -> list[PairRow]:
    """Rows with the answer that a teacher got wrong, each with a reason on both sides."""
    return [
        PairRow(
            replace(row, id=f"p{row.id}", analysis=row.analysis or "It is so."),
            replace(
                row,
                id=f"p{row.id}",
                labels=() if row.labels else ("hate_speech",),
                analysis=f"Somebody is meant {index}.",
                harmful=(),
            ),
        )
        for index, row in enumerate(make_rows(count))
    ]


def write_pairs(path: Path, pairs: Sequence[PairRow]) -> None:
    write_rows(path, [pair.chosen for pair in pairs])
    write_rows(path.with_suffix(".rejected"), [pair.rejected for pair in pairs])
    rejected = pd.read_parquet(path.with_suffix(".rejected")).drop(columns=["id", "text"])
    pd.concat([pd.read_parquet(path), rejected.add_prefix("rejected_")], axis=1).to_parquet(path)
    path.with_suffix(".rejected").unlink()


def write_job(
    folder: Path, base: Path, *, config: Config | None = None, rows: int = 24, **fields: object
) -> Job:
    """A whole training job's folder."""
    config = config or Config(
        precision="float32", epochs=2, batch_size=4, validations=2, max_length=256, rank=4, alpha=8
    )
    job = Job.model_validate(
        {"kind": "train", "base_model": str(base), "policy": POLICY, "config": config, "sets": ("test",)}
        | {"device": "cpu"}
        | fields
    )
    job.write(folder)
    write_rows(folder / "train.parquet", make_rows(rows))
    write_rows(folder / "validation.parquet", make_rows(9))
    (folder / "sets").mkdir(exist_ok=True)
    tests = make_rows(7)
    pd.DataFrame({"id": [row.id for row in tests], "text": [row.text for row in tests]}).to_parquet(
        folder / "sets" / "test.parquet"
    )
    return job


def examples_of(renderer: Renderer, rows: Sequence[Row], max_length: int = 256) -> list[Example]:
    """Direct and, where there is a reason, reasoned examples."""
    found = []
    for row in rows:
        answer = Answer(row.labels or (), row.analysis, row.harmful)
        assert row.text is not None
        found.append(renderer.example(row.text, "direct", answer, max_length))
        if row.analysis:
            found.append(renderer.example(row.text, "reasoned", answer, max_length))
    return found


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def renderer(tiny: Path) -> Renderer:
    return Renderer(tiny, POLICY)


def moved(student: Student) -> Student:
    """Fresh LoRA weights change nothing; these do, so that every gradient is put to the test."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in student.trained_parameters().values():
            weight.normal_(0.0, 0.05, generator=generator)
    return student


def with_frozen(student: Student, dtype: torch.dtype) -> Student:
    """The same student with its frozen weights in another type, whatever the machine would choose."""
    for weight in student.model.parameters():
        if not weight.requires_grad:
            weight.data = weight.data.to(dtype)
    return student
