"""What the benchmarks make of what they measure."""

from collections import Counter
from collections.abc import Sequence

import pytest

from benchmarks import limit, open_load, profile
from benchmarks.figures import medians, percentiles_ms
from benchmarks.limit import Layout
from benchmarks.running_app import demo_config
from load_tests.client.messages import Reply
from load_tests.client.questions import PhotoQuestion
from serve.settings import AppSettings

QUESTIONS = [PhotoQuestion(b"", str(number)) for number in range(3)]


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


def test_the_limit_asks_every_question_in_turn_and_counts_what_each_worker_did() -> None:
    asked: Counter[str] = Counter()

    def answer(questions: Sequence[PhotoQuestion]) -> None:
        asked.update(each.question for each in questions)

    layout = Layout(threads=1, workers=2, photos=2, prompts=1)
    found = limit.throughput(answer, layout, QUESTIONS, seconds=0.05)
    assert 0 < found.answers_per_s <= asked.total() / 0.05
    assert max(asked.values()) - min(asked.values()) <= 2
    assert found.cpu_ms * asked.total() < 1000


def test_a_stack_counts_for_the_innermost_place_that_is_known() -> None:
    stack = (
        "Replica.call (ray/serve/_private/replica.py:1);"
        "Captioner.caption (deployments/captioner.py:2);"
        "decode_jpeg (models/pixels.py:3);load (PIL/ImageFile.py:4)"
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
    replies = [
        Reply(200, {}, "", 0.5),
        Reply(200, {}, "", 2.0),
        Reply(503, {"retry-after": "1"}, "", 0.01),
        Reply(503, {}, "", 0.01),
        Reply(0, {}, "", 1.0),
    ]
    figures = open_load.figures_of(replies)
    assert (figures["answered"], figures["refused"], figures["other"]) == (2, 2, 1)
    assert figures["refused_without_wait"] == 1
    assert figures["served_percent"] == pytest.approx(40)
    assert figures["in_a_second_percent"] == pytest.approx(20)
    assert figures["in_time_percent"] == pytest.approx(40)
    assert figures["refused_p50_ms"] == pytest.approx(10)
