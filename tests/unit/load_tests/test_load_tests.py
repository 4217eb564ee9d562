"""What of the load tests needs no Locust: importing that would exchange this process's sockets."""

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from load_tests import checks, reach
from load_tests.checks import Check
from load_tests.client.messages import MAX_RETRY_AFTER_S, Reply
from load_tests.client.questions import Question
from load_tests.limits import ANSWERS, BAD, REFUSED, SAME_FRAME, Limits, Tally, broken
from load_tests.memory import AppMemory
from load_tests.reach import why_not_in_time, why_unreachable
from load_tests.report import Moment, Sample, sample_between, write
from load_tests.shapes import SHAPES, users_at
from load_tests.stage_events import stages_ms

DEMO = Path("bundles/demo/photos")
TIMING = {"server-timing": "caption;dur=1, total;dur=2"}
GOOD = {
    "id": "1",
    "answer": "Two",
    "caption": "a room",
    "tags": [{"label": "mug"}],
    "degraded": [],
}
TWO = Question("how many?", "two")


def reply(body: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, {**TIMING, **headers}, json.dumps(body))


# --- Shapes -------------------------------------------------------------------------------------


@given(
    st.sampled_from(sorted(SHAPES)),
    st.integers(1, 500),
    st.floats(1, 1e5),
    st.floats(0, 0.999),
)
def test_no_shape_has_nobody_or_more_than_all(
    shape: str, users: int, seconds: float, gone: float
) -> None:
    now = users_at(shape, users=users, seconds=seconds, now_s=gone * seconds)
    assert now is not None
    assert 1 <= now <= users


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_every_shape_ends_when_its_time_is_over(shape: str) -> None:
    assert users_at(shape, users=8, seconds=60, now_s=60) is None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("ramp", [1, 2, 4, 6, 8]),
        ("spike", [2, 2, 8, 2, 2]),
        ("soak", [8, 8, 8, 8, 8]),
        ("step", [2, 4, 6, 8, 8]),
    ],
)
def test_a_shape_goes_as_its_name_says(shape: str, expected: list[int]) -> None:
    moments = (0, 25, 50, 75, 99)
    assert [users_at(shape, users=8, seconds=100, now_s=now) for now in moments] == expected


# --- Limits -------------------------------------------------------------------------------------


@dataclass
class Row:
    method: str
    name: str
    response_times: dict[int, int] = field(default_factory=dict)
    num_failures: int = 0
    num_requests: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_requests = sum(self.response_times.values())


def test_stages_and_bad_requests_do_not_count_as_answers() -> None:
    rows = [
        Row("POST", ANSWERS, {100: 3, 200: 1}, num_failures=1),
        Row("POST", SAME_FRAME, {100: 1}),
        Row("POST", BAD, {5: 10}),
        Row("POST", "/v1/tags", {50: 2}),
        Row(REFUSED, ANSWERS, {1: 3}),
        Row("STAGE", "captioner", {1: 1000}),
    ]
    assert Tally.of(rows) == Tally(20, 1, 3, {100: 4, 200: 1})


def test_what_came_since_the_last_sample_is_the_difference() -> None:
    earlier = Tally(10, 1, 2, {100: 5, 200: 2})
    assert Tally(15, 1, 4, {100: 5, 200: 4, 300: 1}).since(earlier) == Tally(
        5, 0, 2, {200: 2, 300: 1}
    )


def test_a_quantile_is_the_time_within_which_so_many_were_answered() -> None:
    tally = Tally(100, 0, 0, {10: 50, 20: 45, 30: 4, 40: 1})
    assert [tally.quantile_ms(share) for share in (0.5, 0.95, 0.99, 1)] == [10, 20, 30, 40]
    assert Tally().quantile_ms(0.5) is None


@pytest.mark.parametrize(
    ("tally", "expected"),
    [
        (Tally(100, 1, 5, {2000: 90}), []),
        (Tally(100, 2, 5, {2000: 90}), ["failures 2.00% of 100 requests"]),
        (Tally(100, 1, 6, {2000: 90}), ["refused 6.00% of 100 requests"]),
        (Tally(100, 1, 5, {2100: 90}), ["p95 2100 ms of 90 answers, at most 2000 ms"]),
        (Tally(100, 9, 9, {2100: 90}), ["failures", "refused", "p95"]),
    ],
)
def test_each_limit_that_is_exceeded_is_one_line(tally: Tally, expected: list[str]) -> None:
    lines = broken(Limits(), tally)
    assert len(lines) == len(expected)
    assert all(text in line for text, line in zip(expected, lines, strict=True))


def test_a_test_without_any_answer_is_broken() -> None:
    assert len(broken(Limits(1, 1e9, 1), Tally(5, 0, 5, {}))) == 1
    assert len(broken(Limits(1, 1e9, 1), Tally())) == 1


# --- Checks -------------------------------------------------------------------------------------


def answer_check(**options: bool) -> Check:
    return checks.answer(TWO, **{"may_degrade": False, **options})


def test_a_good_answer_has_no_fault() -> None:
    assert answer_check()(reply(GOOD)) is None


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"answer": "three"}, "how many? 'three', but 'two' is known"),
        ({"answer": " "}, "the answer is empty"),
        ({"caption": ""}, "the caption is empty"),
        ({"tags": []}, "there are no tags"),
        ({"degraded": ["tagger"]}, "degraded: without tagger"),
        ({"degraded": None}, "nothing says whether it is degraded"),
        ({"id": ""}, "there is no id"),
    ],
)
def test_an_answer_of_status_200_may_have_a_fault(changed: dict[str, Any], fault: str) -> None:
    assert answer_check()(reply(GOOD | changed)) == fault


def test_an_answer_may_be_degraded_or_unknown_where_that_is_allowed() -> None:
    assert (
        answer_check(may_degrade=True)(reply(GOOD | {"degraded": ["tagger"], "tags": []})) is None
    )
    assert answer_check(any_answer=True)(reply(GOOD | {"answer": "three"})) is None
    anything = checks.answer(Question("how many?", None), may_degrade=False)
    assert anything(reply(GOOD | {"answer": "three"})) is None


@pytest.mark.parametrize("check", [answer_check(), checks.caption(), checks.tags()])
def test_no_reply_passes_without_status_timing_and_content(check: Check) -> None:
    assert check(reply(GOOD)) is None
    assert check(reply({"id": "1"})) is not None
    assert check(Reply(200, {}, json.dumps(GOOD))) == "there is no Server-Timing"
    assert check(reply({"code": "stage_failed"}, 500)) == "status 500 stage_failed"
    assert check(Reply(502, {}, "<html>")) == "status 502 without a problem document"
    assert check(Reply(200, TIMING, "[]")) == "there is no id"


def test_there_is_a_vector_for_each_photo_and_text() -> None:
    check = checks.embeddings(2, 1)
    assert check(reply({"id": "1", "images": [[1, 0], [0, 1]], "texts": [[1, 1]]})) is None
    assert check(reply({"id": "1", "images": [[1, 0]], "texts": [[1, 1]]})) is not None
    assert check(reply({"id": "1", "images": [[], []], "texts": [[]]})) is not None


def test_a_bad_request_deserves_a_problem_document() -> None:
    check = checks.problem(422, "bad_image")
    document = {"code": "bad_image", "request_id": "1"}
    kind = {"content-type": checks.PROBLEM}
    assert check(reply(document, 422, **kind)) is None
    assert check(reply(GOOD, 200)) == "status 200 instead of 422"
    assert check(reply(document, 500, **kind)) == "status 500 instead of 422"
    assert check(reply(document, 422)) == "the error is not a problem document"
    assert check(reply(document | {"code": "x"}, 422, **kind)) == "code x instead of bad_image"


def test_only_a_503_that_says_how_long_is_a_refusal() -> None:
    assert reply({}, 503, **{"retry-after": "2"}).retry_after_s() == 2
    assert reply({}, 503, **{"retry-after": "86400"}).retry_after_s() == MAX_RETRY_AFTER_S
    assert reply({}, 503).retry_after_s() is None
    assert reply({}, 503, **{"retry-after": "soon"}).retry_after_s() is None
    assert reply({}, 500, **{"retry-after": "2"}).retry_after_s() is None


# --- Stages -------------------------------------------------------------------------------------


def test_stages_are_named_after_who_works_and_those_that_did_not_run_are_left_out() -> None:
    header = "decode;dur=3.1, caption;dur=41, tag;dur=0, answer;desc=x;dur=9.5, total;dur=60"
    reply = Reply(200, {"server-timing": header}, "")
    assert stages_ms(reply) == {"decode": 3.1, "captioner": 41, "answerer": 9.5, "total": 60}


@pytest.mark.parametrize("header", ["", "caption", "caption;dur=", "caption;dur=x, ;", "a;b;c=1"])
def test_a_header_that_is_no_timing_has_no_stages(header: str) -> None:
    reply = Reply(200, {"server-timing": header}, "")
    assert stages_ms(reply) == {}


# --- Around the run -----------------------------------------------------------------------------


@pytest.mark.parametrize("url", [None, "", "127.0.0.1:8000", "ftp://x", "http://", "http://[x"])
def test_an_address_that_is_none_is_one_sentence(url: str | None) -> None:
    fault = why_unreachable(url)
    assert fault
    assert "\n" not in fault


@pytest.mark.parametrize(("within_s", "fault"), [(60, None), (0, "not ready")])
def test_an_app_that_starts_is_waited_for_as_long_as_asked(
    monkeypatch: pytest.MonkeyPatch, within_s: float, fault: str | None
) -> None:
    said = iter(["not reached", "not ready", None] if within_s else ["not ready"])
    monkeypatch.setattr(reach, "why_unreachable", lambda *_, **__: next(said))
    monkeypatch.setattr(reach, "LOOK_EVERY_S", 0)
    assert why_not_in_time("http://app", within_s=within_s) == fault
    assert list(said) == []


def test_memory_is_known_of_a_process_and_not_of_another_machine() -> None:
    assert AppMemory.of("http://192.0.2.1:8000").read() is None
    assert AppMemory.of("", 2**22 + 1).read() is None
    memory = AppMemory.of("", os.getpid()).read()
    assert memory
    assert memory > 10_000_000


def test_a_sample_is_of_the_time_since_the_last_one() -> None:
    before = Moment(2.0, Tally(10, 1, 0, {100: 9}))
    now = Moment(4.0, Tally(20, 1, 4, {100: 9, 300: 6}))
    assert sample_between(before, now, 8, 5) == Sample(4.0, 8, 3.0, 2.0, 0.0, 300, 300, 300, 5)


def test_a_report_has_gaps_where_nothing_was_answered(tmp_path: Path) -> None:
    busy = Sample(2.0, 4, 3.5, 0, 0, 100, 200, 300, 2**30)
    idle = Sample(4.0, 4, 0, 1.5, 0, None, None, None, None)
    write(tmp_path / "new", [busy, idle], "http://x")
    with Image.open(tmp_path / "new" / "load-test.png") as plot:
        assert plot.height > 300
    lines = (tmp_path / "new" / "samples.csv").read_text().splitlines()
    assert lines[1:] == ["2.0,4,3.5,0,0,100,200,300,1073741824", "4.0,4,0,1.5,0,,,,"]


def test_none_of_this_loads_locust() -> None:
    assert "locust" not in sys.modules
    assert "gevent" not in sys.modules
