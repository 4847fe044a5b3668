"""The client: one question to an OpenAI-compatible server, and every way in which it can go wrong."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import openai
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

from backend.errors import OverruleError
from backend.teacher.endpoint import Endpoint
from backend.teacher.prompt import Message
from backend.teacher.results import Failure, TeachResult

_log = logging.getLogger(__name__)

# A server may ask for a longer pause than this; openai's client then gives up instead.
_LONGEST_PAUSE = 120.0
_EXCERPT = 200


class TeacherStoppedError(OverruleError):
    """The teacher cannot be asked at all: every further question would fail alike.

    `result` is how far the run came, once that is known.
    """

    result: TeachResult | None = None


class AskFailedError(Exception):
    """One question got no answer.

    Args:
        kind: how it is counted.
        message: what the server said.
    """

    def __init__(self, kind: Failure, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered. `trouble` says why it is not the teacher's whole answer."""

    text: str
    trouble: str | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What of the interface a server understands; found out by asking, kept for the run."""

    structured: bool = True
    limit: str = "max_completion_tokens"


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(BaseModel):
    """As much of a chat completion as is needed: many servers leave out the rest."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class TeacherClient:
    """Asks one teacher. Use it as an asynchronous context manager.

    Waiting and trying again is openai's own: after 408, 409, 429, 5xx, a timeout or a broken
    connection, with exponential backoff and jitter, or for as long as Retry-After says.

    Args:
        endpoint: where, which model, and how patiently.
        schema: the JSON schema of an answer.
    """

    def __init__(self, endpoint: Endpoint, schema: dict[str, Any]) -> None:
        self._endpoint = endpoint
        self._format = {
            "type": "json_schema",
            "json_schema": {"name": "judgement", "strict": True, "schema": schema},
        }
        self._client = AsyncOpenAI(
            base_url=endpoint.url,
            # Without a key the client would look for one in the environment and send that.
            api_key=endpoint.key.get_secret_value() if endpoint.key else "no-key",
            timeout=endpoint.timeout,
            max_retries=endpoint.retries,
        )
        # A timeout counts from byte to byte; this one ends an answer that trickles for ever.
        self._longest = (endpoint.timeout + _LONGEST_PAUSE) * (endpoint.retries + 1)
        self._dialect = Dialect()
        self._answered = False

    async def __aenter__(self) -> TeacherClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    @property
    def dialect(self) -> Dialect:
        """What the server was found to understand."""
        return self._dialect

    async def ask(self, render: Callable[[bool], Sequence[Message]]) -> Reply:
        """Ask one question.

        Args:
            render: the messages, given whether structured output is asked for.

        Raises:
            AskFailedError: this question got no answer.
            TeacherStoppedError: no question will get one.
        """
        dialect = self._dialect
        while True:
            try:
                reply = await self._ask(render(dialect.structured), dialect)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                simpler = _simpler(dialect, error)
                if simpler is None:
                    raise AskFailedError(
                        Failure.REJECTED, f"HTTP {error.status_code}: {self._said(error)}"
                    ) from error
                dialect = simpler
            else:
                # Remembered only now: a request may also be refused for what is in the post.
                if dialect != self._dialect:
                    _log.info("the teacher's server takes no %s; asking as %s", self._dialect, dialect)
                    self._dialect = dialect
                self._answered = True
                return reply

    async def _ask(self, messages: Sequence[Message], dialect: Dialect) -> Reply:
        options: dict[str, Any] = {
            "messages": list(messages),
            dialect.limit: self._endpoint.answer_tokens,
        }
        if dialect.structured:
            options["response_format"] = self._format
        try:
            async with asyncio.timeout(self._longest):
                response = await self._client.chat.completions.with_raw_response.create(
                    model=self._endpoint.model, **options
                )
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            raise
        except openai.APIStatusError as error:
            raise self._refused(error) from error
        except (TimeoutError, openai.APITimeoutError) as error:
            seconds = f"{self._endpoint.timeout:g} seconds"
            raise AskFailedError(Failure.TIMEOUT, f"no answer within {seconds}") from error
        except openai.APIConnectionError as error:
            raise AskFailedError(Failure.CONNECTION, self._hide(str(error.__cause__ or error))) from error
        return _read(response.http_response.content)

    def _refused(self, error: openai.APIStatusError) -> Exception:
        """What an HTTP status means for this question, or for all."""
        status, said = error.status_code, self._said(error)
        address = self._endpoint.address
        if status == 401 or (status == 403 and not self._answered):
            return TeacherStoppedError(
                f"The teacher at {address} refuses the key (HTTP {status}: {said}).",
                "Set OVERRULE_TEACHER_KEY, or name the variable that holds the key with --key-env.",
            )
        if status == 404 and not self._answered:
            return TeacherStoppedError(
                f"The teacher at {address} knows no model {self._endpoint.model!r} (HTTP 404: {said}).",
                "Check the model's name, and that the address ends as the server wants it, mostly in /v1.",
            )
        if status == 402 or error.code == "insufficient_quota":
            return TeacherStoppedError(
                f"The account at {address} has no credit left (HTTP {status}: {said}).",
                "Add credit there, then start again: only posts without an answer are asked.",
            )
        kind = Failure.SERVER if status >= 500 else Failure.RATE_LIMIT if status == 429 else Failure.REJECTED
        return AskFailedError(kind, f"HTTP {status}: {said}")

    def _said(self, error: openai.APIStatusError) -> str:
        """The server's own words: under "message" as OpenAI puts them, "detail" as FastAPI does."""
        body = error.body if isinstance(error.body, dict) else {}
        said = body.get("message") or body.get("detail") or error.response.text or error.message
        return self._hide(" ".join(str(said).split()))

    def _hide(self, text: str) -> str:
        """Some servers repeat the key that they refuse."""
        if self._endpoint.key is not None:
            text = text.replace(self._endpoint.key.get_secret_value(), "…")
        return text[:_EXCERPT]


def _simpler(dialect: Dialect, error: openai.APIStatusError) -> Dialect | None:
    """How to ask a server that refuses a request as it was put; None where nothing is left to leave out."""
    if "max_completion_tokens" in error.response.text and dialect.limit != "max_tokens":
        return replace(dialect, limit="max_tokens")
    return replace(dialect, structured=False) if dialect.structured else None


def _read(content: bytes) -> Reply:
    """A response's body as an answer.

    Raises:
        AskFailedError: it is no chat completion.
    """
    try:
        completion = _Completion.model_validate(json.loads(content))
    except (ValueError, RecursionError) as error:
        excerpt = " ".join(content[:_EXCERPT].decode("utf-8", "replace").split())
        reason = f"it begins {excerpt!r}" if excerpt else "it is empty"
        raise AskFailedError(Failure.GARBAGE, f"the body is no chat completion: {reason}") from error
    choice = completion.choices[0]
    usage = completion.usage or _Usage()
    text = choice.message.content or choice.message.refusal or ""
    return Reply(text, _trouble(choice), usage.prompt_tokens, usage.completion_tokens)


def _trouble(choice: _Choice) -> str | None:
    if choice.finish_reason == "content_filter":
        return "the server's content filter withheld the answer"
    if choice.message.refusal and not choice.message.content:
        return "the teacher refused to answer"
    if choice.finish_reason == "length":
        return "the answer was cut off at its longest length"
    return None
