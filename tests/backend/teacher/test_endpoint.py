"""Which teacher is asked, and with which key."""

from __future__ import annotations

import pytest

from backend.errors import InvalidInputError
from backend.settings import Settings
from backend.teacher.endpoint import Endpoint, find_endpoint
from backend.teacher.results import TeacherOverrides

SETTINGS = Settings(teacher_url="https://teacher.example/v1/", teacher_model="m", teacher_key="sk-1 \n")


def key(endpoint: Endpoint) -> str | None:
    return endpoint.key.get_secret_value() if endpoint.key else None


def test_settings_count_where_nothing_else_is_said() -> None:
    endpoint = find_endpoint(SETTINGS, TeacherOverrides())
    assert (endpoint.url, endpoint.model, key(endpoint)) == ("https://teacher.example/v1", "m", "sk-1")
    assert endpoint.concurrency == SETTINGS.teacher_concurrency


def test_the_key_of_the_settings_goes_nowhere_else() -> None:
    assert key(find_endpoint(SETTINGS, TeacherOverrides(url="https://other.example/v1"))) is None
    assert key(find_endpoint(SETTINGS, TeacherOverrides(url="https://teacher.example/v1"))) == "sk-1"


def test_a_key_may_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", " sk-2 ")
    overrides = TeacherOverrides(
        url="https://other.example/v1", key_env="OTHER_KEY", timeout=3, concurrency=2
    )
    endpoint = find_endpoint(SETTINGS, overrides)
    assert (key(endpoint), endpoint.timeout, endpoint.concurrency) == ("sk-2", 3, 2)
    assert "sk-2" not in repr(endpoint)
    with pytest.raises(InvalidInputError, match="NO_SUCH_KEY holds no key"):
        find_endpoint(SETTINGS, TeacherOverrides(key_env="NO_SUCH_KEY"))


@pytest.mark.parametrize(
    "url", ["teacher", "ftp://x/v1", "http://", "http://exa mple/v1", "http://x:99999/v1", "http://[::1/v1", "http://\x00"]
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="not the address of a teacher"):
        find_endpoint(SETTINGS, TeacherOverrides(url=url))


def test_what_is_no_key_or_model_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="characters in it that no key has"):
        find_endpoint(Settings(teacher_key="sk-é"), TeacherOverrides())
    with pytest.raises(InvalidInputError, match="must have a name"):
        find_endpoint(SETTINGS, TeacherOverrides(model="m" * 201))


def test_the_address_shown_has_no_password() -> None:
    endpoint = find_endpoint(
        SETTINGS, TeacherOverrides(url="https://me:secret@teacher.example:8443/v1?key=x")
    )
    assert endpoint.address == "https://teacher.example:8443/v1"
