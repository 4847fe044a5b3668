"""A real OpenAI-compatible HTTP server that misbehaves on purpose."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Action = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)

    @property
    def messages(self) -> list[dict[str, str]]:
        return self.body["messages"]

    @property
    def post(self) -> str:
        """The post between its fences."""
        user = self.messages[1]["content"]
        return user.split("\n\n")[1].split("\n", 1)[1].rsplit("\n", 1)[0]

    @property
    def round(self) -> int:
        return 0 if len(self.messages) == 2 else 1

    @property
    def structured(self) -> bool:
        return "response_format" in self.body


def send(
    status: int, body: str | bytes, *, kind: str = "application/json", headers: dict[str, str] | None = None
) -> Action:
    data = body.encode() if isinstance(body, str) else body

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return act


def says(content: str | None, *, finish: str = "stop", refusal: str | None = None) -> Action:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return send(
        200,
        json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            }
        ),
    )


def judges(*labels: str, analysis: str = "It says so.", harmful: tuple[str, ...] = ()) -> Action:
    answer = {"analysis": analysis, "harmful_information": list(harmful), "classification": list(labels)}
    return says(json.dumps(answer))


def fails(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Action:
    body = json.dumps({"error": {"message": message, "code": code}})
    return send(status, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def drops(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection in the middle of the answer, with a reset."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def after(seconds: float, action: Action) -> Action:
    def act(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        action(handler)

    return act


class TeacherServer(ThreadingHTTPServer):
    """Answers by `script` first, one action a request, then by `answer`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.script: deque[Action] = deque()
        self.answer: Callable[[Asked], Action] = lambda asked: judges()
        self.lock = threading.Lock()
        self.under_way = 0
        self.most_under_way = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not wait for its answer is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TeacherServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.path, headers, body)
        with self.server.lock:
            self.server.asked.append(asked)
            action = self.server.script.popleft() if self.server.script else None
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            (action or self.server.answer(asked))(self)
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[TeacherServer]:
    server = TeacherServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
