"""What queries return for made-up series, among them those of GPUs that a machine here may lack.

promtool evaluates them as Prometheus would.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.prometheus_programs import program

from dashboards.promql import Scope
from dashboards.queries import answers, load_tests, machines, replicas, requests, stages

ALL = Scope()

GPUS = {
    'ray_node_gpus_utilization{ip="10.0.0.1",GpuIndex="0"}': "40",
    'ray_node_gpus_utilization{ip="10.0.0.1",GpuIndex="1"}': "60",
    'ray_node_gram_used{ip="10.0.0.1",GpuIndex="0"}': "20000",
    'ray_node_gram_available{ip="10.0.0.1",GpuIndex="0"}': "60000",
    'ray_node_gram_used{ip="10.0.0.1",GpuIndex="1"}': "72000",
    'ray_node_gram_available{ip="10.0.0.1",GpuIndex="1"}': "8000",
    'ray_admirer_batch_max_items{deployment="captioner",NodeAddress="10.0.0.1",replica="a"}': "8",
    'ray_admirer_batch_max_items{deployment="captioner",NodeAddress="10.0.0.1",replica="b"}': "8",
    'ray_admirer_batch_max_items{deployment="tagger",NodeAddress="10.0.0.1",replica="c"}': "8",
    'ray_admirer_batch_max_items{deployment="retriever",NodeAddress="10.0.0.2",replica="d"}': "8",
}
REPLICAS = {
    'ray_serve_deployment_replica_healthy{deployment="tagger",replica="a"}': "1",
    'ray_serve_deployment_replica_healthy{deployment="tagger",replica="b"}': "0",
    'ray_serve_deployment_replica_healthy{deployment="ingress",replica="c"}': "1",
    'ray_serve_autoscaling_target_replicas{deployment="tagger"}': "3",
    'ray_serve_autoscaling_target_replicas{deployment="ingress"}': "1",
    'ray_serve_autoscaling_total_requests{deployment="tagger"}': "12",
    'ray_serve_autoscaling_total_requests{deployment="captioner"}': "40",
    'ray_serve_autoscaling_target_ongoing_requests{deployment="tagger"}': "8",
    'ray_serve_autoscaling_target_ongoing_requests{deployment="captioner"}': "8",
    'ray_admirer_stage_max_replicas{stage="tagger",deployment="ingress"}': "3",
    'ray_admirer_stage_max_replicas{stage="captioner",deployment="ingress"}': "4",
}
ANSWERS = 'ray_admirer_requests_total{route="/v1/answers",code="%s"}'
PROMPTS = 'ray_admirer_llm_requests_total{model="m",outcome="%s"}'
CALLS = 'ray_admirer_stage_calls_total{stage="tagger",code="%s"}'

Series = dict[str, str]
Found = dict[str, float]


@pytest.mark.parametrize(
    ("series", "query", "found"),
    [
        pytest.param(
            GPUS,
            machines.gpu_share(ALL),
            {'{ip="10.0.0.1",GpuIndex="0"}': 0.4, '{ip="10.0.0.1",GpuIndex="1"}': 0.6},
            id="each GPU has its own load",
        ),
        pytest.param(
            GPUS,
            machines.gpu_memory_share(ALL),
            {'{ip="10.0.0.1",GpuIndex="0"}': 0.25, '{ip="10.0.0.1",GpuIndex="1"}': 0.9},
            id="memory in use is a share of used and free",
        ),
        pytest.param(
            GPUS,
            machines.gpu_memory_bytes(Scope(by=("namespace",))),
            {
                '{ip="10.0.0.1",GpuIndex="0"}': 20000 * 1024**2,
                '{ip="10.0.0.1",GpuIndex="1"}': 72000 * 1024**2,
            },
            id="memory is told in bytes",
        ),
        pytest.param(
            GPUS,
            machines.stage_gpu_share(ALL),
            {'{deployment="captioner"}': 0.5, '{deployment="tagger"}': 0.5},
            id="stages have the load of the GPUs of their nodes",
        ),
        pytest.param(
            GPUS,
            machines.stage_gpu_memory_share(Scope(deployment="captioner", by=("namespace",))),
            {'{deployment="captioner"}': 0.9},
            id="a stage has the memory of the fullest GPU of its nodes",
        ),
        pytest.param(
            REPLICAS,
            replicas.missing(ALL),
            {'{deployment="ingress"}': 0, '{deployment="tagger"}': 2},
            id="a replica that is not healthy is missing",
        ),
        pytest.param(
            REPLICAS,
            replicas.bottleneck(ALL),
            {'{deployment="captioner"}': 1.25},
            id="the bottleneck is the stage with the highest load and not with the most requests",
        ),
        pytest.param(
            REPLICAS, replicas.lowest_headroom(ALL), {"{}": -0.25}, id="headroom can be negative"
        ),
        pytest.param(
            {ANSWERS % "ok": "0+60x10"},
            requests.fault_share(ALL),
            {"{}": 0},
            id="no faults are a share of zero",
        ),
        pytest.param(
            {ANSWERS % "ok": "60+0x10"},
            requests.fault_share(ALL),
            {},
            id="no requests are no share",
        ),
        pytest.param(
            {
                ANSWERS % "ok": "0+99x10",
                ANSWERS % "overloaded": "0+1x10",
                ANSWERS % "bad_image": "0+900x10",
            },
            requests.availability_budget_left(ALL),
            {"{}": -1},
            id="what callers do wrong spends no budget and what we refuse does",
        ),
        pytest.param(
            {
                CALLS % "ok": "0+90x10",
                CALLS % "stage_failed": "0+5x10",
                CALLS % "deadline_exceeded": "0+5x10",
                CALLS % "cancelled": "0+900x10",
            },
            stages.error_share(ALL),
            {'{stage="tagger"}': 0.1},
            id="a stage that hangs fails, and a call that nobody waits for counts neither way",
        ),
        pytest.param(
            {
                PROMPTS % "ok": "0+80x10",
                PROMPTS % "timeout": "0+20x10",
                PROMPTS % "cancelled": "0+900x10",
                PROMPTS % "overloaded": "0+900x10",
            },
            answers.llm_fault_share(ALL),
            {'{model="m"}': 0.2},
            id="a model that hangs fails, whoever else hung up or was refused",
        ),
        pytest.param(
            {
                ANSWERS % "ok": "0+90x10",
                ANSWERS % "deadline_exceeded": "0+10x10",
                ANSWERS % "client_gone": "0+900x10",
            },
            requests.fault_share(ALL),
            {"{}": 0.1},
            id="a caller who hangs up is neither answered nor failed",
        ),
        pytest.param(
            {
                'ray_admirer_queue_seconds_count{deployment="tagger"}': "0+60x10",
                'ray_admirer_model_seconds_count{deployment="tagger"}': "0+15x10",
                'ray_admirer_batch_max_items{deployment="tagger"}': "8x10",
            },
            stages.batch_fill(ALL),
            {'{deployment="tagger"}': 0.5},
            id="a batch of four where eight are allowed is half full",
        ),
        pytest.param(
            {
                'ray_admirer_llm_requests_total{model="m",outcome="ok"}': "0+60x10",
                'ray_admirer_llm_prompt_tokens_total{model="m"}': "0+600x10",
            },
            answers.cost_per_hour(ALL),
            {'{model="m"}': 0},
            id="a model without a price costs nothing",
        ),
        pytest.param(
            {
                'ray_admirer_llm_requests_total{model="m",outcome="ok"}': "0+60x10",
                'ray_admirer_llm_requests_total{model="m",outcome="timeout"}': "0+60x10",
                'ray_admirer_llm_cost_dollars_total{model="m"}': "0+0.12x10",
            },
            answers.cost_per_thousand(ALL),
            {'{model="m"}': 2},
            id="answers bear the cost of prompts without one",
        ),
        pytest.param(
            {
                'ray_admirer_bundle_info{bundle="old"}': "1x10",
                'ray_admirer_bundle_info{bundle="new"}': "_x8 1x2",
            },
            requests.new_release(ALL),
            {'{bundle="new"}': 1},
            id="a bundle that was not there is new",
        ),
        pytest.param(
            {"admirer_load_test_users": "0x10"}, load_tests.running(ALL), {}, id="no users, no test"
        ),
        pytest.param(
            {'ray_serve_deployment_replica_starts_total{deployment="a",replica="x"}': "_x8 1x2"},
            replicas.starts(ALL),
            {'{deployment="a"}': 1},
            id="a first start is seen although its counter begins with it",
        ),
    ],
)
def test_a_query_returns_what_its_series_say(
    tmp_path: Path, series: Series, query: str, found: Found
) -> None:
    samples = [{"labels": labels, "value": value} for labels, value in found.items()]
    # To a thousandth, as promtool compares every digit.
    expected = {"expr": f"round({query}, 0.001)", "eval_time": "10m", "exp_samples": samples}
    case: dict[str, Any] = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values if "x" in values else f"{values}x10"}
            for name, values in series.items()
        ],
        "promql_expr_test": [expected],
    }
    file = tmp_path / "case.yaml"
    file.write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
