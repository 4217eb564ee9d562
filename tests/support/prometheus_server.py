"""A real Prometheus that scrapes one address as the chart's PodMonitor would, and its HTTP API."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from support.prometheus_programs import program

from serve.cli.ray_environment import free_port

CHECKOUT = Path(__file__).parents[2]
RULES = CHECKOUT / "charts" / "admirer" / "rules"
# What the chart renders, as it was reviewed.
RENDERED = CHECKOUT / "tests" / "chart" / "golden" / "defaults.yaml"
# Ray hands metrics over every ten seconds, and a busy machine takes seconds to write them out.
SCRAPE_EVERY_S = 5

_POD = {
    # Kubernetes says these of a pod, for the PodMonitor's relabelings to read.
    "__meta_kubernetes_pod_label_ray_io_cluster": "admirer-x7k2p",
    "__meta_kubernetes_pod_label_ray_io_node_type": "head",
    "__meta_kubernetes_pod_label_ray_io_group": "headgroup",
    # And these the operator adds for every PodMonitor.
    "namespace": "photos",
    "pod": "admirer-x7k2p-head",
    "container": "ray-head",
    "endpoint": "metrics",
    "job": "photos/admirer",
}


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """Return `data` of an answer of the API; an error of a query is raised with its text."""
        response = httpx.get(
            f"{self.url}/api/v1/{path}", params=parameters, timeout=30, trust_env=False
        )
        body = response.json()
        assert body["status"] == "success", body.get("error")
        return body["data"]

    def last_scrape(self) -> float | None:
        """Return when the app was last scraped, or None if that failed."""
        found = self.get("query", query="timestamp(up) and up == 1")["result"]
        return float(found[0]["value"][1]) if found else None

    def query(self, expression: str, at: float) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of every series of a vector, or of the one of a scalar."""
        data = self.get("query", query=expression, time=str(at))
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        assert data["resultType"] == "vector", data["resultType"]
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]


@contextmanager
def prometheus_over(
    metrics_url: str, folder: Path, rules: Path = RULES / "*.yaml"
) -> Iterator[Prometheus]:
    """Start one that scrapes the address and has the rules, and stop it afterwards."""
    port = free_port()
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(_config(httpx.URL(metrics_url), rules)))
    command: list[str | Path] = [program("prometheus"), f"--config.file={config}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 30
        while not _is_ready(url):
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < until, (folder / "prometheus.log").read_text()
            time.sleep(0.1)
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait(30)


def _config(metrics_url: httpx.URL, rules: Path) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": f"{SCRAPE_EVERY_S}s", "evaluation_interval": "2s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "admirer",
                "metrics_path": metrics_url.path,
                "static_configs": [{"targets": [metrics_url.netloc.decode()], "labels": _POD}],
                "relabel_configs": _relabelings(),
            }
        ],
    }


def _relabelings() -> list[dict[str, Any]]:
    """Return those of the chart's PodMonitor, as Prometheus writes them."""
    objects = yaml.safe_load_all(RENDERED.read_text())
    [monitor] = [each for each in objects if each and each["kind"] == "PodMonitor"]
    [port] = [each for each in monitor["spec"]["podMetricsEndpoints"] if each["port"] == "metrics"]
    return [
        {"source_labels": each["sourceLabels"], "target_label": each["targetLabel"]}
        for each in port["relabelings"]
    ]


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).is_success
    except httpx.HTTPError:
        return False
