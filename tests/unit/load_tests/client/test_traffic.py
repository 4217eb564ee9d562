"""Traffic, against a server of this process that counts what it is asked."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from load_tests.client import traffic
from load_tests.client.messages import Reply
from load_tests.client.questions import PhotoQuestion
from load_tests.client.traffic import Client, arrivals, closed, crowd, steady

JPEG = b"\xff\xd8\xff\xd9"
QUESTIONS = [PhotoQuestion(JPEG, f"question {number}?") for number in range(3)]


class Server(ThreadingHTTPServer):
    """What came, and how to answer."""

    daemon_threads = True
    # Of a crowd, many arrive before the first is accepted.
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bodies: list[bytes] = []
        self.routes: list[str] = []
        self.connections = 0
        self.takes_s = 0.0
        self.at_work = self.most_at_work = 0
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        with self.server.lock:
            self.server.connections += 1
        super().setup()

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with server.lock:
            server.bodies.append(body)
            server.routes.append(self.path)
            server.at_work += 1
            server.most_at_work = max(server.most_at_work, server.at_work)
        time.sleep(server.takes_s)
        with server.lock:
            server.at_work -= 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        if self.close_connection:
            self.send_header("Connection", "close")  # as RFC 9112, 9.6 asks of a server
        self.send_header("Server-Timing", "caption;dur=12.5, total;dur=20")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_questions_are_asked_in_turn_from_the_start_again(server: Server) -> None:
    with Client(server.url, QUESTIONS) as client:
        replies = [client.ask() for _ in range(5)]
    asked = [next(n for n in range(3) if f"question {n}?".encode() in b) for b in server.bodies]
    assert asked == [0, 1, 2, 0, 1]
    assert all(JPEG in body for body in server.bodies)
    assert set(server.routes) == {"/v1/answers"}
    assert replies[0].status == 200
    assert replies[0].took_s > 0
    assert replies[0].timings_ms == {"caption": 12.5, "total": 20}


def test_a_stage_alone_gets_the_photo_alone(server: Server) -> None:
    with Client(server.url, QUESTIONS) as client:
        client.ask("/v1/captions")
        client.ask("/v1/examples/search")
    alone, with_question = server.bodies
    assert b"question" not in alone
    assert b"question 1?" in with_question


def test_new_photos_have_bytes_of_their_own(server: Server) -> None:
    with Client(server.url, QUESTIONS[:1], new_photos=True) as client:
        closed(client.ask, callers=2, count=6)
    photos = {body[body.index(b"\xff\xd8") : body.index(b"\xff\xd9")] for body in server.bodies}
    assert len(photos) == 6


@pytest.mark.parametrize(("keep_alive", "connections"), [(True, 1), (False, 4)])
def test_a_client_keeps_its_connection_unless_it_shall_not(
    server: Server, keep_alive: bool, connections: int
) -> None:
    with Client(server.url, QUESTIONS, keep_alive=keep_alive) as client:
        closed(client.ask, callers=1, count=4)
    assert server.connections == connections


def test_a_connection_that_cannot_be_made_is_status_0() -> None:
    with Client("http://127.0.0.1:9", QUESTIONS) as client:
        reply = client.ask()
    assert reply.status == 0
    assert "refused" in reply.text


def test_a_server_that_is_silent_too_long_is_status_0(server: Server) -> None:
    server.takes_s = 1.0
    with Client(server.url, QUESTIONS, timeout_s=0.1) as client:
        assert client.ask().status == 0


def test_so_many_callers_wait_for_their_answers(server: Server) -> None:
    server.takes_s = 0.05
    with Client(server.url, QUESTIONS) as client:
        replies = closed(client.ask, callers=3, count=10)
    assert [reply.status for reply in replies] == [200] * 10
    assert server.most_at_work == 3


def test_callers_stop_when_the_time_is_over() -> None:
    sent: list[float] = []
    started = time.perf_counter()
    closed(lambda: sent.append(time.perf_counter() - started), callers=2, seconds=0.1)
    assert sent
    # Some begin just before the end, on a busy machine much later than they looked at the clock.
    assert sorted(sent)[len(sent) // 2] < 0.1


def test_callers_stop_when_they_are_told_to() -> None:
    stop = threading.Event()
    turns = iter(range(1000))

    def send() -> int:
        turn = next(turns)
        if turn == 4:
            stop.set()
        return turn

    assert set(range(5)) <= set(closed(send, callers=2, stop=stop)) < set(range(1000))


def test_a_caller_that_fails_ends_the_others() -> None:
    def send() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        closed(send, callers=3)


def test_a_crowd_does_not_wait(server: Server) -> None:
    server.takes_s = 0.3
    with Client(server.url, QUESTIONS) as client:
        started = time.perf_counter()
        replies = crowd(client.ask, [0.01 * number for number in range(20)])
        took_s = time.perf_counter() - started
    assert [reply.status for reply in replies] == [200] * 20
    assert server.most_at_work > 10
    assert took_s < 20 * 0.3 / 2


def test_no_crowd_is_larger_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "MAX_REQUESTS", 10)
    assert len(arrivals(1000.0, 10, seed=0)) == 10


def test_a_window_has_so_many_answers_and_neither_the_first_nor_the_last() -> None:
    sent, lock = 0, threading.Lock()
    read_at: list[int] = []

    def send() -> Reply:
        nonlocal sent
        time.sleep(0.002)
        with lock:
            sent += 1
        return Reply(200, {}, "", 0.002)

    def read() -> Counter[str]:
        read_at.append(sent)
        return Counter({"sent": sent})

    window = steady(send, callers=4, count=20, read=read)
    assert [each.status for each in window.replies] == [200] * 20
    assert 20 - 4 <= window.spent["sent"] <= 20 + 4
    assert 2 * 4 + 1 <= read_at[0] <= 3 * 4 + 1, "each caller's first two are over"
    assert window.seconds > 0
    assert sent <= 2 * 4 + 1 + 20 + 4, "nobody goes on after the end"
