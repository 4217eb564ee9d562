import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from support.capacity_app import measurements
from typer.testing import CliRunner

from capacity import measurements as records
from capacity import overlay, run
from capacity.fit import fit
from capacity.plan import Plan, core_s
from capacity.prediction import calibrated
from capacity.problems import CapacityError
from capacity.replay import Replay
from capacity.search import search
from capacity.target import Nodes, Target, priced, read_prices, unpriced
from load_tests.client.questions import PhotosError
from serve.cli.__main__ import app
from serve.settings import AppSettings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "admirer"
PRICES = "currency: EUR\nnodes: {cpu: {cores: 4, price_per_hour: 0.5}}\n"


def plan(rate: float = 30, p95_s: float = 0.3, *, gpu: bool = False, most: int = 64) -> Plan:
    seen = measurements(gpu=gpu)
    model = calibrated(fit(seen), seen)
    return search(model, Target(rate=rate, p95_s=p95_s), unpriced(seen, None, most))


@pytest.fixture(scope="module")
def small() -> Plan:
    return plan()


@pytest.fixture(scope="module")
def with_gpus() -> Plan:
    return plan(gpu=True)


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    file = tmp_path / "measurements.json"
    records.write(measurements(), file)
    return file


def invoke(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["capacity", *(str(each) for each in arguments)]
    )


def is_one_line_error(result: Any) -> bool:
    return bool(
        result.exit_code == 1
        and result.stderr.startswith("error: ")
        and result.stderr.count("\n") == 1
    )


def test_a_plan_keeps_its_target_and_uses_no_more_than_was_seen(small: Plan) -> None:
    assert small.predicted.p95_s.high <= small.target.p95_s
    assert small.predicted.served_share >= 0.995
    model = fit(measurements())
    for name, stage in small.setting.stages.items():
        assert stage.max_items <= model.stages[name].max_items
        assert small.target.rate / stage.replicas <= model.stages[name].max_rate


def test_no_core_is_planned_to_be_busier_than_was_seen() -> None:
    seen = measurements()
    model = calibrated(fit(seen), seen)
    calm = model.model_copy(update={"most_busy": 0.3})
    wanted = Target(rate=30, p95_s=0.3)
    nodes = unpriced(seen, None, 64)
    made = search(calm, wanted, nodes)
    assert made.predicted.utilisation["cores"] <= 0.3
    assert made.setting.cores > search(model, wanted, nodes).setting.cores


def test_a_higher_rate_needs_more_and_names_what_was_never_seen(small: Plan) -> None:
    large = plan(rate=120)
    assert sum(large.nodes.values()) > sum(small.nodes.values())
    assert large.seen_limits
    assert large.setting.stages["captioner"].replicas > 1


def test_no_node_can_be_taken_from_a_plan(small: Plan) -> None:
    cores = small.setting.cores - small.node.cpu.cores
    seen = measurements()
    fewer = Nodes(cpu=small.node.cpu, most=max(1, round(cores / small.node.cpu.cores)))
    if cores:
        with pytest.raises(CapacityError):
            search(calibrated(fit(seen), seen), small.target, fewer)
    assert small.setting.cores >= core_s(fit(seen)) * small.target.rate


def test_the_bottleneck_and_the_next_are_named_in_order(small: Plan) -> None:
    reach = list(small.reach_per_s.values())
    assert reach == sorted(reach)
    assert reach[0] >= small.target.rate
    assert small.bottleneck != small.next_bottleneck


def test_a_gpu_stage_gets_a_share_of_a_gpu_and_a_node_that_has_one(with_gpus: Plan) -> None:
    assert set(with_gpus.num_gpus) == {"captioner", "tagger"}
    assert with_gpus.nodes["gpu"] >= 1
    values = overlay.values(with_gpus)
    assert values["stages"]["captioner"]["workerGroup"] == "gpu"
    assert 0 < values["stages"]["captioner"]["numGpus"] <= 1


@pytest.mark.parametrize("gpu", [False, True])
def test_the_overlay_has_only_keys_of_the_chart(gpu: bool, request: Any) -> None:
    values = overlay.values(request.getfixturevalue("with_gpus" if gpu else "small"))
    whole = _over(yaml.safe_load((CHART / "values.yaml").read_text()), values)
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(whole)] == []
    wrong = _over(whole, {"stages": {"tagger": {"replicas": 3}}})
    assert list(Draft7Validator(schema).iter_errors(wrong)) != []


def test_a_replay_stands_in_the_report_and_is_drawn(small: Plan, tmp_path: Path) -> None:
    seen = measurements()
    model = calibrated(fit(seen), seen)
    replayed = Replay(
        predicted=small.predicted, sent=300, answered=300, answers_per_s=30, p50_s=0.1, p95_s=0.2
    )
    run.write(small, model, seen, [], tmp_path)
    without = (tmp_path / "report.png").read_bytes()
    run.write(small, model, seen, [replayed], tmp_path)
    assert "Replay: predicted" in (tmp_path / "report.html").read_text("utf-8")
    assert (tmp_path / "report.png").read_bytes() != without
    (row,) = json.loads((tmp_path / "replay.json").read_text("utf-8"))
    assert row["p95_error"] == pytest.approx(small.predicted.p95_s.middle / 0.2 - 1)


@pytest.mark.parametrize("gpu", [False, True])
def test_helm_renders_the_chart_with_the_overlay(gpu: bool, request: Any, tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT / ".tools" / "bin"), os.environ["PATH"]])
    helm = shutil.which("helm", path=path)
    if helm is None:
        pytest.skip("this machine has no helm")
    made: Plan = request.getfixturevalue("with_gpus" if gpu else "small")
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(overlay.values(made)))
    arguments = [helm, "template", "admirer", str(CHART), "-f", str(file)]
    rendered = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert rendered.returncode == 0, rendered.stderr
    (service,) = [
        each
        for each in yaml.safe_load_all(rendered.stdout)
        if each and each["kind"] == "RayService"
    ]
    assert f"max_size: {made.setting.stages['tagger'].max_items}" in str(
        service["spec"]["serveConfigV2"]
    )


def test_the_arguments_of_a_replay_are_those_of_the_app(small: Plan) -> None:
    config = yaml.safe_load((ROOT / "serve/config/demo.yaml").read_text())
    arguments = config["applications"][0]["args"] | overlay.arguments(small)
    settings = AppSettings.model_validate(arguments)
    planned = small.setting.stages["tagger"]
    assert settings.tagger.batch.max_size == planned.max_items
    # A question of the retriever is a photo and a text.
    assert settings.retriever.batch.max_size == 2 * small.setting.stages["retriever"].max_items
    assert settings.tagger.scaling.autoscaling.min_replicas == planned.replicas


def test_an_slo_below_one_answer_is_refused() -> None:
    with pytest.raises(CapacityError, match="One answer alone takes 60 ms"):
        plan(p95_s=0.05)


def test_a_target_that_no_number_of_nodes_reaches_is_refused() -> None:
    with pytest.raises(CapacityError, match=r"cores and 2 nodes have 6\.6; at most"):
        plan(rate=2000, most=2)


def test_a_p95_that_queues_alone_exceed_is_refused() -> None:
    with pytest.raises(CapacityError, match="No plan keeps p95 at 62 ms"):
        plan(rate=40, p95_s=0.062, most=1)


def test_prices_become_a_cost_and_missing_ones_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(PRICES)
    seen = measurements()
    model = calibrated(fit(seen), seen)
    made = search(model, Target(rate=30, p95_s=0.3), priced(read_prices(file), seen, 64))
    assert made.price_per_hour == 0.5 * made.nodes["cpu"]
    with pytest.raises(CapacityError, match=r"lack nodes\.gpu\.price_per_hour"):
        priced(read_prices(file), measurements(gpu=True), 64)


def test_the_command_writes_a_plan_its_values_and_a_report(seen: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("--rate", 30, "--p95-ms", 300, "--no-prices", "--from", seen, "--out", out)
    assert result.exit_code == 0, result.output
    assert {"plan.json", "values.yaml", "report.html", "report.png"} <= {
        each.name for each in out.iterdir()
    }
    made = Plan.model_validate_json((out / "plan.json").read_text())
    assert yaml.safe_load((out / "values.yaml").read_text()) == overlay.values(made)
    assert "bottleneck" in result.stdout
    assert "data:image/png" in (out / "report.html").read_text()


def test_every_reason_for_no_plan_is_one_line_and_an_exit_status(
    seen: Path, tmp_path: Path
) -> None:
    target = ["--rate", 10, "--p95-ms", 300]
    wanted = [*target, "--no-prices"]
    prices = tmp_path / "prices.yaml"
    prices.write_text("currency: EUR\nnodes: {}\n")
    unpriced_node = tmp_path / "unpriced.yaml"
    unpriced_node.write_text("currency: EUR\nnodes: {cpu: {cores: 4}}\n")
    busy = tmp_path / "busy.json"
    records.write(measurements(foreign_cores=0.5), busy)
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    failed = tmp_path / "failed.json"
    records.write(measurements(failed=1), failed)
    refused = [
        [*wanted, "--from", tmp_path / "none.json"],
        [*wanted, "--from", bad],
        [*wanted, "--from", failed],
        [*target, "--from", seen],
        [*wanted, "--from", seen, "--prices", prices],
        [*target, "--from", seen, "--prices", tmp_path / "none.yaml"],
        [*target, "--from", seen, "--prices", prices],
        [*target, "--from", seen, "--prices", unpriced_node],
        [*wanted, "--from", busy],
        ["--rate", 10, "--p95-ms", 20, "--no-prices", "--from", seen],
        ["--rate", 1e6, "--p95-ms", 300, "--no-prices", "--from", seen],
        [*wanted, "--url", "http://127.0.0.1:9", "--metrics-url", "http://127.0.0.1:9/metrics"],
        [*wanted, "--url", "http://127.0.0.1:9"],
    ]
    for number, arguments in enumerate(refused):
        out = tmp_path / str(number)
        result = invoke(*arguments, "--out", out)
        assert is_one_line_error(result), (arguments, result.output)
        assert not (out / "plan.json").exists()


def test_prices_are_asked_for_unless_a_plan_without_cost_is_wanted(
    seen: Path, tmp_path: Path
) -> None:
    result = invoke("--rate", 30, "--p95-ms", 300, "--from", seen, "--out", tmp_path / "out")
    assert is_one_line_error(result)
    assert "--prices FILE" in result.stderr
    assert not (tmp_path / "out").exists()


def test_questions_are_needed(tmp_path: Path) -> None:
    source = run.Source(None, "http://127.0.0.1:9", "x", tmp_path, tmp_path, None, (), 5, 1)
    with pytest.raises(PhotosError, match=r"no photos .* and no questions\.jsonl"):
        run.measurements(source, [], tmp_path, lambda _: None)


def _over(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {
        **old,
        **{
            key: _over(old[key], value)
            if isinstance(value, dict) and isinstance(old.get(key), dict)
            else value
            for key, value in new.items()
        },
    }
