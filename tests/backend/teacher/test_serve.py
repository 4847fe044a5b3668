"""A run against `transformers serve`, which takes no notice of `response_format`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from backend.db.engine import Database
from backend.db.models import TeacherAnswer
from backend.settings import Settings
from backend.teacher.client import TeacherStoppedError
from tests.backend.teacher.posts import add_posts, run, start
from tests.backend.teacher.serve import transformers_serve
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = make_tiny_model(tmp_path_factory.mktemp("tiny"))
    with transformers_serve(folder, folder / "serve.log") as url:
        yield url, folder


def local(url: str, model: Path, **changes: object) -> Settings:
    settings = Settings(
        teacher_url=url, teacher_model=str(model), teacher_concurrency=2, teacher_answer_tokens=24
    )
    return settings.model_copy(update=changes)


@pytest.mark.slow
def test_the_nonsense_of_a_tiny_model_is_kept_and_accounted_for(
    sqlite_database: Database, tiny: tuple[str, Path]
) -> None:
    settings = local(*tiny)
    project = add_posts(sqlite_database, *(f"none: lovely day number {number}" for number in range(8)))
    result = run(sqlite_database, settings, start(sqlite_database, settings, project))
    assert (result.wanted, result.answered + result.invalid, result.left) == (8, 8, 0)
    assert result.invalid == 8
    assert result.failed == {}
    assert result.prompt_tokens > 8 * 50
    with sqlite_database.read() as session:
        kept = session.scalars(select(TeacherAnswer)).all()
        assert len(kept) == 8
        assert all(answer.labels is None and answer.error and answer.raw for answer in kept)


@pytest.mark.slow
def test_a_model_that_is_not_served_is_told_apart(sqlite_database: Database, tiny: tuple[str, Path]) -> None:
    url, _ = tiny
    settings = local(url, Path("nobody/no-such-model"))
    project = add_posts(sqlite_database, "one")
    job = start(sqlite_database, settings, project)
    with pytest.raises(TeacherStoppedError, match="no-such-model") as caught:
        run(sqlite_database, settings, job)
    assert caught.value.result is not None
    assert caught.value.result.failed == {"rejected": 1}
