"""What the chart tells Locust is what the load tests understand, and a changed test runs again."""

import json
import subprocess
import sys
from typing import Any

import pytest
from support.chart_rendering import ROOT, objects, render

from load_tests.shapes import SHAPES
from tools.chart_values import SCHEMA

PARSE = """
import json, sys
from locust.argument_parser import parse_options
from load_tests import locustfile
options = [vars(parse_options(args=words[1:])) for words in json.load(sys.stdin)]
people = sorted(set(locustfile.__all__) - {"ChosenShape"})
print(json.dumps({"options": options, "people": people}, default=str))
"""
"""In a process of its own: Locust exchanges the sockets and threads of whoever imports it."""

Options = dict[str, Any]


def jobs(values: Options | None = None) -> tuple[Options, Options]:
    """Return the Jobs of master and workers."""
    rendered = objects(render(values={"loadTest.enabled": True, **(values or {})}))
    found = [item for item in rendered if item["kind"] == "Job"]
    master, worker = sorted(found, key=lambda item: item["metadata"]["name"])
    return master, worker


def understood(*jobs: Options) -> Options:
    """Return the options that Locust reads from the commands of Jobs, and whom it knows to ask."""
    words = [job["spec"]["template"]["spec"]["containers"][0]["args"] for job in jobs]
    done = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps([*words, ["locust"]]),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: Options = json.loads(done.stdout.splitlines()[-1])
    return found


def test_locust_understands_master_and_worker_and_defaults_are_its_own() -> None:
    found = understood(*jobs())
    master, worker, defaults = found["options"]
    assert (master["master"], master["headless"], master["num_users"]) == (True, True, 8)
    assert (worker["worker"], worker["master_host"]) == (True, "admirer-load-test")
    ours = ["photos", "think_time_s", "any_answer", "allow_degraded", "shape", "max_p95_ms"]
    ours += ["max_failures_ratio", "max_refused_ratio"]
    assert {name: master[name] for name in ours} == {name: defaults[name] for name in ours}


def test_the_schema_names_the_shapes_and_people_that_there_are() -> None:
    known = understood()["people"]
    properties = json.loads(SCHEMA.read_text())["properties"]["loadTest"]["properties"]
    assert sorted(properties["people"]["items"]["enum"]) == known
    assert sorted(properties["shape"]["enum"]) == sorted(SHAPES)


def runs(values: Options | None = None) -> set[str]:
    """Return the last parts of the Jobs' names, which a changed test changes."""
    return {job["metadata"]["name"].rpartition("-")[2] for job in jobs(values)}


def test_master_and_workers_are_of_one_run() -> None:
    assert len(runs()) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"loadTest.run": "2"},
        {"loadTest.users": 9},
        {"loadTest.workers": 3},
        {"loadTest.worker.resources.limits.memory": "2Gi"},
        {"loadTest.durationSeconds": 61},
    ],
)
def test_a_changed_test_runs_again_with_new_workers(values: Options) -> None:
    assert not runs(values) & runs()


def test_a_changed_app_does_not_run_the_test_again() -> None:
    assert runs({"app.nShot": 8, "image.tag": "0.2.0"}) == runs()
