"""Where the teacher is: settings, and what one run takes other than from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from backend.errors import InvalidInputError
from backend.settings import Settings
from backend.teacher.results import TeacherOverrides

_LONGEST_MODEL = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible address and how to ask there.

    Attributes:
        url: the address, up to and with `/v1`.
        key: sent as a bearer token; None where none is set.
        concurrency: requests under way at once.
        timeout: seconds to wait for one answer.
        retries: how often one request is tried again.
        answer_tokens: most tokens of one answer, thinking included.
    """

    url: str
    model: str
    key: SecretStr | None
    concurrency: int
    timeout: float
    retries: int
    answer_tokens: int

    @property
    def address(self) -> str:
        """The address as it may be shown and stored: no name, no password, no query."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))[:500]

    @property
    def patience(self) -> int:
        """After so many posts in a row without an answer the run stops: the server is gone."""
        return max(10, 3 * self.concurrency)


def find_endpoint(settings: Settings, overrides: TeacherOverrides) -> Endpoint:
    """The teacher that one run asks.

    The key of the settings goes to the address of the settings alone: another address gets
    the key that its own environment variable holds, or none.

    Raises:
        InvalidInputError: the address, the model's name or the key cannot be used.
    """
    url = (overrides.url or settings.teacher_url).strip().rstrip("/")
    model = (overrides.model or settings.teacher_model).strip()
    _check_url(url)
    if not model or len(model) > _LONGEST_MODEL:
        raise InvalidInputError(
            f"The teacher's model must have a name of 1 to {_LONGEST_MODEL} characters.",
            "Set OVERRULE_TEACHER_MODEL or give --model.",
        )
    return Endpoint(
        url=url,
        model=model,
        key=_key(settings, overrides, url),
        concurrency=overrides.concurrency or settings.teacher_concurrency,
        timeout=overrides.timeout or settings.teacher_timeout,
        retries=settings.teacher_retries,
        answer_tokens=overrides.answer_tokens or settings.teacher_answer_tokens,
    )


def _check_url(url: str) -> None:
    hint = "Set OVERRULE_TEACHER_URL or give --url, such as http://127.0.0.1:8000/v1."
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidInputError(f"{url[:200]!r} is not the address of a teacher.", hint)


def _key(settings: Settings, overrides: TeacherOverrides, url: str) -> SecretStr | None:
    if overrides.key_env is not None:
        found = os.environ.get(overrides.key_env, "").strip()
        if not found:
            raise InvalidInputError(
                f"The environment variable {overrides.key_env} holds no key.",
                "Set it where the run takes place: here, or for the worker before it is started.",
            )
        key = found
    elif settings.teacher_key is not None and url == settings.teacher_url.strip().rstrip("/"):
        key = settings.teacher_key.get_secret_value().strip()
    else:
        return None
    if not key:
        return None
    if not (key.isascii() and key.isprintable()):
        raise InvalidInputError(
            "The teacher's key has characters in it that no key has.", "Copy the key once more."
        )
    return SecretStr(key)
