"""A server that misbehaves, and settings that point to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backend.settings import Settings
from tests.backend.teacher.server import TeacherServer, serving


@pytest.fixture
def server() -> Iterator[TeacherServer]:
    with serving() as server:
        yield server


@pytest.fixture
def settings(server: TeacherServer) -> Settings:
    return Settings(
        teacher_url=server.url,
        teacher_model="teacher-1",
        teacher_key="sk-very-secret",
        teacher_concurrency=4,
        teacher_timeout=5.0,
        teacher_retries=1,
        teacher_answer_tokens=200,
    )
