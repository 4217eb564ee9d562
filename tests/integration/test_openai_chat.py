"""The client against a real HTTP server on this machine."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from models.chat import Completion
from models.chat.errors import ChatEmpty, ChatRefused, ChatTimeout, ChatUnavailable
from models.chat.openai import OpenAIChat

KEY = "sk-secret"
CHAT = [{"role": "user", "content": "what color is the mug?"}]
Reply = tuple[int, str]


def piece(**fields: object) -> str:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**head, **fields})}\n\n"


def said(*contents: str | None, finish_reason: str = "stop", **delta: object) -> str:
    """Return the stream in which a server says the contents one after the other."""
    parts: list[dict[str, object]] = [{"content": content, **delta} for content in contents]
    choices = [{"index": 0, "delta": part, "finish_reason": None} for part in parts]
    end = {"index": 0, "delta": {}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    pieces = [piece(choices=[choice]) for choice in [*choices, end]]
    return "".join([*pieces, piece(choices=[], usage=usage), "data: [DONE]\n\n"])


class Server:
    """Answers each request with the next reply; keeps the last for all that follow."""

    def __init__(self) -> None:
        self.replies: list[Reply | Callable[[], Reply]] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(size))
                server.headers.append({name.lower(): text for name, text in self.headers.items()})
                server.requests.append((self.headers["Authorization"], body))
                reply = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
                status, text = reply() if callable(reply) else reply
                kind = "text/event-stream" if text.startswith("data:") else "application/json"
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                with suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def client(
    url: str,
    *,
    max_retries: int = 0,
    timeout_s: float = 5,
    on_retry: Callable[[int], None] = lambda _: None,
) -> OpenAIChat:
    return OpenAIChat(
        base_url=url,
        api_key=KEY,
        model="m",
        timeout_s=timeout_s,
        max_retries=max_retries,
        temperature=0.5,
        max_new_tokens=7,
        on_retry=on_retry,
    )


async def ask(chat: OpenAIChat, timeout_s: float = 5) -> Completion:
    try:
        return await chat.complete(CHAT, timeout_s)
    finally:
        await chat.close()


async def test_the_chat_and_the_settings_reach_the_server(server: Server) -> None:
    server.replies = [(200, said(None, " dark", "", " red \n"))]
    completion = await ask(client(server.url))
    assert completion == Completion("dark red", 11, 2)
    assert completion.first_token_s is not None
    assert 0 < completion.first_token_s < 5
    ((key, body),) = server.requests
    assert key == f"Bearer {KEY}"
    assert body["messages"] == CHAT
    assert body["model"] == "m"
    assert body["temperature"] == 0.5
    assert body["max_completion_tokens"] == 7
    assert body["stream"] is True


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_passing_failure_is_tried_again(server: Server, status: int) -> None:
    server.replies = [(status, "{}"), (200, said("red"))]
    retries: list[int] = []
    chat = client(server.url, max_retries=1, on_retry=retries.append)
    assert (await ask(chat)).text == "red"
    assert len(server.requests) == 2
    assert retries == [1]


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (500, '{"error": "SECRET"}', ChatUnavailable),
        (429, '{"error": "SECRET"}', ChatUnavailable),
        (400, '{"error": "SECRET"}', ChatRefused),
        (401, '{"error": "SECRET"}', ChatRefused),
        (404, '{"error": "SECRET"}', ChatRefused),
        (200, "<html>SECRET</html>", ChatUnavailable),
        (200, "{SECRET", ChatUnavailable),
        (200, '{"choices": []}', ChatUnavailable),
        (200, "data: {SECRET\n\n", ChatUnavailable),
        (200, 'data: ["SECRET"]\n\n', ChatUnavailable),
        (200, 'data: {"choices": []}\n\n', ChatUnavailable),
        (200, 'data: {"choices": [{"SECRET": 1}]}\n\n', ChatUnavailable),
        (200, 'data: {"error": {"message": "SECRET"}}\n\n', ChatUnavailable),
        (200, said(*["SECRET" * 1000] * 20), ChatUnavailable),
        (200, said("SECRET", finish_reason="content_filter"), ChatRefused),
        (200, said(None, refusal="SECRET"), ChatRefused),
        (200, said(" \n"), ChatEmpty),
        (200, said(None), ChatEmpty),
    ],
)
async def test_every_bad_reply_is_a_plain_error_that_quotes_nothing(
    server: Server, status: int, text: str, error: type[Exception]
) -> None:
    server.replies = [(status, text)]
    with pytest.raises(error) as caught:
        await ask(client(server.url))
    assert type(caught.value) is error
    assert "SECRET" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_server_that_is_not_there_is_unavailable(server: Server) -> None:
    url = server.url
    server.close()
    with pytest.raises(ChatUnavailable):
        await ask(client(url))


@pytest.mark.parametrize(("attempt_s", "whole_s"), [(5.0, 0.3), (0.3, 5.0)])
async def test_a_slow_server_is_given_up_in_time(
    server: Server, attempt_s: float, whole_s: float
) -> None:
    def slowly() -> Reply:
        time.sleep(20)
        return 200, said("too late")

    server.replies = [slowly]
    begun = time.monotonic()
    with pytest.raises(ChatTimeout):
        await ask(client(server.url, timeout_s=attempt_s), timeout_s=whole_s)
    assert time.monotonic() - begun < 10


async def test_retries_stay_within_the_whole_time(server: Server) -> None:
    server.replies = [(500, "{}")]
    begun = time.monotonic()
    with pytest.raises(ChatTimeout):
        await ask(client(server.url, max_retries=10), timeout_s=1)
    assert time.monotonic() - begun < 10
    assert 1 < len(server.requests) < 10
