"""What the benchmarks make of what they measure."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import pytest

from benchmarks import limit, open_load, profile
from benchmarks.figures import medians, percentiles_ms
from benchmarks.limit import Layout
from benchmarks.questions import Request
from benchmarks.running_app import MARK, RunningApp, demo_config, merged
from benchmarks.traffic import Outcome, steady
from serve.settings import AppSettings

REQUESTS = [Request(b"", str(number)) for number in range(3)]


@pytest.mark.skipif(sys.platform != "linux", reason="only there a shell's child has no environment")
def test_processes_that_clear_their_environment_are_their_parents() -> None:
    mark = "of-a-test"
    with subprocess.Popen(
        ["/bin/sh", "-c", "env -i sh -c 'echo ready; read line'; true"],
        env={**os.environ, MARK: mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        found = RunningApp("", mark, 0, 0).processes()
        assert parent.pid in {each.pid for each in found}
        assert len(found) == 2
        assert RunningApp("", "of-another", 0, 0).processes() == []
        parent.communicate(b"\n", timeout=5)


def test_percentiles_are_milliseconds_and_nothing_has_none() -> None:
    hundredths = [number / 100 for number in range(101)]
    assert percentiles_ms(hundredths, 50, 99) == pytest.approx({"p50_ms": 500, "p99_ms": 990})
    assert percentiles_ms([0.2], 50, 99) == pytest.approx({"p50_ms": 200, "p99_ms": 200})
    assert percentiles_ms([], 50) == {"p50_ms": 0}


def test_each_figure_has_a_median_of_its_own() -> None:
    rounds = [{"a": 1.0, "b": 9.0}, {"a": 2.0, "b": 7.0}, {"a": 30.0, "b": 8.0}]
    assert medians(rounds) == {"a": 2, "b": 8}


def test_a_figure_that_a_round_has_not_got_is_0_there() -> None:
    assert medians([{"a": 1.0}, {"b": 2.0}, {"a": 3.0, "b": 4.0}]) == {"a": 1, "b": 2}


def test_changes_reach_into_the_config_file_and_caches_are_off() -> None:
    changes = {"captioner": {"batch": {"max_size": 3}}, "limits": {"timeout_s": 100}}
    config = demo_config(changes)
    settings = AppSettings(**config["applications"][0]["args"])
    assert (settings.captioner.batch.max_size, settings.captioner.cache_photos) == (3, 0)
    assert settings.tagger.cache_photos == 0
    assert settings.limits.max_concurrent_requests == 12, "what was not changed"
    assert config["http_options"]["request_timeout_s"] > settings.limits.timeout_s


def test_merging_changes_neither_tree() -> None:
    under, over = {"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}
    assert merged(under, over) == {"a": {"b": 3, "c": 2}, "d": 4}
    assert under == {"a": {"b": 1, "c": 2}}


def test_the_limit_asks_every_question_in_turn_and_counts_what_each_worker_did() -> None:
    asked: Counter[str] = Counter()

    def answer(requests: Sequence[Request]) -> None:
        asked.update(request.question for request in requests)

    layout = Layout(threads=1, workers=2, photos=2, prompts=1)
    found = limit.throughput(answer, layout, REQUESTS, seconds=0.05)
    assert 0 < found.answers_per_s <= asked.total() / 0.05
    assert max(asked.values()) - min(asked.values()) <= 2
    assert found.cpu_ms * asked.total() < 1000


def test_a_stack_counts_for_the_innermost_place_that_is_known() -> None:
    stack = (
        "Replica.call (ray/serve/_private/replica.py:1);"
        "Captioner.caption (deployments/captioner.py:2);"
        "decode_jpeg (models/photos.py:3);load (PIL/ImageFile.py:4)"
    )
    assert profile.part_of(stack) == "photos: decode"
    assert profile.part_of("run (threading.py:5)") == profile.ELSEWHERE


def test_a_thread_is_shared_out_by_its_stacks_and_what_nobody_saw_is_a_row() -> None:
    spent_ms = {"7": 30.0, "8": 1.0, "9": 4.0, "gcs_server": 2.0}
    looks = [
        "thread (7): model;run (onnxruntime/capi.py:1) 20",
        "thread (7): model;call (ray/worker.py:1) 10",
        "thread (7);run (threading.py:1);_worker (concurrent/futures/thread.py:81) 99",
        "thread (8);main (default_worker.py:1);Worker.main_loop (ray/_private/worker.py:1) 99",
        "thread (9): loop;Thread.run (threading.py:982) 3",
    ]
    assert profile.rows_of(spent_ms, looks) == pytest.approx(
        {
            "models: ONNX Runtime": 20,
            "Ray: calls and serialisation": 10,
            profile.NO_PYTHON: 1,
            profile.ELSEWHERE: 4,
            "process gcs_server": 2,
        }
    )


def test_a_crowd_is_counted_by_what_it_met() -> None:
    outcomes = [
        Outcome(200, 0.5, None),
        Outcome(200, 2.0, None),
        Outcome(503, 0.01, "1"),
        Outcome(503, 0.01, None),
        Outcome(0, 1.0, None),
    ]
    figures = open_load.figures_of(outcomes)
    assert (figures["answered"], figures["refused"], figures["other"]) == (2, 2, 1)
    assert figures["refused_without_wait"] == 1
    assert figures["served_percent"] == pytest.approx(40)
    assert figures["in_a_second_percent"] == pytest.approx(20)
    assert figures["in_time_percent"] == pytest.approx(40)
    assert figures["refused_p50_ms"] == pytest.approx(10)


def test_the_server_says_what_its_parts_took() -> None:
    assert Outcome(200, 1, None, "decode;dur=1.5, total;dur=20").timings_ms == {
        "decode": 1.5,
        "total": 20,
    }
    assert Outcome(503, 1, "1").timings_ms == {}


async def test_a_window_has_so_many_answers_and_neither_the_first_nor_the_last() -> None:
    served = 0
    connections: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        connections.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                size = next(line for line in head.split(b"\r\n") if b"content-length" in line)
                await reader.readexactly(int(size.split(b":")[1]))
                served += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        # What is still being answered at the end is given up, which resets its connection.
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    read_at: list[int] = []

    def read() -> Counter[str]:
        read_at.append(served)
        return Counter({"served": served})

    async with server:
        window = await steady(f"http://127.0.0.1:{port}", REQUESTS, workers=4, count=20, read=read)
    # A connection that outlives its loop would be blamed on whatever test runs next.
    await asyncio.gather(*(each for each in connections if each))
    assert [each.status for each in window.outcomes] == [200] * 20
    assert 20 - 4 <= window.spent["served"] <= 20 + 4
    assert 2 * 4 + 1 <= read_at[0] <= 3 * 4 + 1, "each worker's first two are over"
    assert window.seconds > 0
