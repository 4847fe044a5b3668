"""The client against a server that does everything wrong that servers do."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from backend.settings import Settings
from backend.teacher.client import AskFailedError, Dialect, Reply, TeacherClient, TeacherStoppedError
from backend.teacher.endpoint import find_endpoint
from backend.teacher.prompt import Prompt
from backend.teacher.results import Failure, TeacherOverrides
from tests.backend.teacher.server import (
    Action,
    TeacherServer,
    after,
    drops,
    fails,
    judges,
    says,
    send,
)
from training.policy import Category, Policy

PROMPT = Prompt(Policy(categories=(Category(code="scam", name="Scam"), Category(code="hate", name="Hate"))))


def ask(settings: Settings, *posts: str) -> list[Reply]:
    """Ask about each post in turn, with one client."""

    async def asking() -> list[Reply]:
        endpoint = find_endpoint(settings, TeacherOverrides())
        async with TeacherClient(endpoint, PROMPT.schema) as client:
            return [
                await client.ask(lambda structured, post=post: PROMPT.first(post, structured=structured))
                for post in posts
            ]

    return asyncio.run(asking())


def failure(settings: Settings) -> AskFailedError:
    with pytest.raises(AskFailedError) as caught:
        ask(settings, "a post")
    return caught.value


def test_asks_for_structured_output_with_model_key_and_limit(
    server: TeacherServer, settings: Settings
) -> None:
    server.answer = lambda asked: judges("scam")
    (reply,) = ask(settings, "a post")
    assert json.loads(reply.text)["classification"] == ["scam"]
    assert (reply.trouble, reply.prompt_tokens, reply.answer_tokens) == (None, 100, 10)
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer sk-very-secret"
    assert asked.body["model"] == "teacher-1"
    assert asked.body["max_completion_tokens"] == 200
    schema = asked.body["response_format"]["json_schema"]
    assert asked.body["response_format"]["type"] == "json_schema"
    assert schema["strict"] is True
    assert schema["schema"] == PROMPT.schema


def test_without_a_key_none_of_the_environment_is_sent(
    server: TeacherServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    ask(settings.model_copy(update={"teacher_key": None}), "a post")
    assert server.asked[0].headers["authorization"] == "Bearer no-key"


def test_429_waits_as_long_as_retry_after_says(server: TeacherServer, settings: Settings) -> None:
    server.script.append(fails(429, "slow down", Retry_After="1"))
    started = time.monotonic()
    ask(settings, "a post")
    assert time.monotonic() - started >= 1.0
    assert len(server.asked) == 2


@pytest.mark.parametrize("action", [fails(500), fails(503), fails(408), drops])
def test_what_may_pass_is_tried_again(server: TeacherServer, settings: Settings, action: Action) -> None:
    server.script.append(action)
    assert ask(settings, "a post")[0].trouble is None
    assert len(server.asked) == 2


def test_a_timeout_is_tried_again(server: TeacherServer, settings: Settings) -> None:
    server.script.append(after(1.0, judges()))
    ask(settings.model_copy(update={"teacher_timeout": 0.3}), "a post")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("action", "kind", "said"),
    [
        (fails(429, "slow down"), Failure.RATE_LIMIT, "slow down"),
        (fails(500, "out of memory"), Failure.SERVER, "out of memory"),
        (send(502, "<html>bad gateway</html>", kind="text/html"), Failure.SERVER, "502"),
        (drops, Failure.CONNECTION, ""),
        (fails(413, "too large"), Failure.REJECTED, "too large"),
        (fails(400, "context length"), Failure.REJECTED, "HTTP 400: context length"),
        (send(400, '{"detail": "pinned to another"}'), Failure.REJECTED, "HTTP 400: pinned to another"),
        (send(400, '{"detail": [{"msg": "wrong"}]}'), Failure.REJECTED, "wrong"),
    ],
)
def test_what_does_not_pass_is_counted_by_kind(
    server: TeacherServer, settings: Settings, action: Action, kind: Failure, said: str
) -> None:
    server.answer = lambda asked: action
    error = failure(settings)
    assert error.kind is kind
    assert said in error.message
    assert len(server.asked) == 2 if kind is not Failure.REJECTED else len(server.asked) <= 2


def test_a_server_that_stays_slow_is_a_timeout(server: TeacherServer, settings: Settings) -> None:
    server.answer = lambda asked: after(0.5, judges())
    error = failure(settings.model_copy(update={"teacher_timeout": 0.1, "teacher_retries": 0}))
    assert error.kind is Failure.TIMEOUT
    assert "0.1 seconds" in error.message


def test_no_server_at_all_is_a_connection_failure(settings: Settings) -> None:
    gone = settings.model_copy(update={"teacher_url": "http://127.0.0.1:9/v1", "teacher_retries": 0})
    assert failure(gone).kind is Failure.CONNECTION


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>welcome</html>",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        '{"choices": []}',
        '{"choices": [{}]}',
        '{"error": {"message": "overloaded"}}',
        '{"choices": [{"message": {"content": 3}}]}',
        "[" * 100_000,
        b"\xff\xfe\x00\x80",
    ],
)
def test_a_body_that_is_no_completion_is_garbage(
    server: TeacherServer, settings: Settings, body: str | bytes
) -> None:
    for kind in ("application/json", "text/html"):
        server.script.append(send(200, body, kind=kind))
        error = failure(settings)
        assert error.kind is Failure.GARBAGE
        assert "no chat completion" in error.message


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_stops_at_once_and_is_not_repeated(
    server: TeacherServer, settings: Settings, status: int
) -> None:
    server.answer = lambda asked: fails(status, "Incorrect key sk-very-secret")
    with pytest.raises(TeacherStoppedError) as caught:
        ask(settings, "a post")
    assert "refuses the key" in caught.value.message
    assert "OVERRULE_TEACHER_KEY" in caught.value.hint
    assert "sk-very-secret" not in str(caught.value)
    assert len(server.asked) == 1


def test_an_unknown_model_stops_at_once(server: TeacherServer, settings: Settings) -> None:
    server.answer = lambda asked: fails(404, "no such model")
    with pytest.raises(TeacherStoppedError, match="knows no model 'teacher-1'"):
        ask(settings, "a post")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "action", [fails(402), fails(429, "quota", code="insufficient_quota", x_should_retry="false")]
)
def test_no_credit_stops_at_once(server: TeacherServer, settings: Settings, action: Action) -> None:
    server.answer = lambda asked: action
    with pytest.raises(TeacherStoppedError, match="no credit"):
        ask(settings, "a post")
    assert len(server.asked) == 1


def test_403_after_an_answer_is_about_the_post(server: TeacherServer, settings: Settings) -> None:
    server.script.extend([judges(), fails(403, "your input was flagged")])
    with pytest.raises(AskFailedError) as caught:
        ask(settings, "a post", "another")
    assert caught.value.kind is Failure.REJECTED


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_structured_output_is_asked_for_text_from_then_on(
    server: TeacherServer, settings: Settings, status: int
) -> None:
    server.answer = lambda asked: (
        fails(status, "response_format is not supported")
        if asked.structured
        else says("Classification: scam")
    )
    ask(settings, "one", "two", "three")
    assert [asked.structured for asked in server.asked] == [True, False, False, False]
    assert "JSON" in server.asked[0].messages[0]["content"]
    assert "JSON" not in server.asked[1].messages[0]["content"]


def test_a_server_that_only_knows_max_tokens_keeps_structured_output(
    server: TeacherServer, settings: Settings
) -> None:
    server.answer = lambda asked: (
        fails(422, "extra_forbidden: max_completion_tokens")
        if "max_completion_tokens" in asked.body
        else judges()
    )
    ask(settings, "one", "two")
    assert [asked.structured for asked in server.asked] == [True, True, True]
    assert server.asked[-1].body["max_tokens"] == 200


def test_a_post_that_is_refused_in_any_form_changes_nothing_for_the_others(
    server: TeacherServer, settings: Settings
) -> None:
    server.answer = lambda asked: fails(400, "content filter") if asked.post == "bad" else judges()

    async def asking() -> Dialect:
        endpoint = find_endpoint(settings, TeacherOverrides())
        async with TeacherClient(endpoint, PROMPT.schema) as client:
            with pytest.raises(AskFailedError, match="content filter"):
                await client.ask(lambda structured: PROMPT.first("bad", structured=structured))
            await client.ask(lambda structured: PROMPT.first("good", structured=structured))
            return client.dialect

    assert asyncio.run(asking()) == Dialect()
    assert server.asked[-1].structured


@pytest.mark.parametrize(
    ("action", "trouble"),
    [
        (says('{"classification": ["sc', finish="length"), "cut off"),
        (says(None, refusal="I cannot help with that."), "refused"),
        (says("", finish="content_filter"), "content filter"),
    ],
)
def test_a_refused_or_cut_off_answer_says_so(
    server: TeacherServer, settings: Settings, action: Action, trouble: str
) -> None:
    server.answer = lambda asked: action
    (reply,) = ask(settings, "a post")
    assert reply.trouble is not None
    assert trouble in reply.trouble


def test_an_answer_of_nothing_is_an_answer(server: TeacherServer, settings: Settings) -> None:
    server.answer = lambda asked: says(None)
    assert ask(settings, "a post")[0] == Reply("", None, 100, 10)
