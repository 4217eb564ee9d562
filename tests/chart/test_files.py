"""What lies in the chart's folders: dashboards and rules become objects, scripts do their work."""

import base64
import importlib.util
import json
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from support.chart_rendering import CHART, ROOT, objects, render

RULES = {
    "groups": [
        {
            "name": "answers",
            "rules": [
                {
                    "alert": "AdmirerAnswersSlow",
                    "expr": "vector(1)",
                    "annotations": {"summary": "{{ $labels.route }} is slow"},
                }
            ],
        }
    ]
}


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Return a copy of the chart with two pages and one file of rules, and no others."""
    copy = tmp_path / "admirer"
    shutil.copytree(CHART, copy)
    for name in ("dashboards", "rules"):
        shutil.rmtree(copy / name, ignore_errors=True)
        (copy / name).mkdir()
    for page in ("service", "stages"):
        text = json.dumps({"title": page, "query": "{{ route }}"}, indent=2)
        (copy / "dashboards" / f"{page}.json").write_text(text)
    (copy / "rules" / "answers.yaml").write_text(yaml.safe_dump(RULES))
    return copy


def of_kind(kind: str, manifests: str) -> list[dict[str, Any]]:
    return [item for item in objects(manifests) if item["kind"] == kind]


def test_each_page_becomes_a_config_map_that_grafana_finds(chart: Path) -> None:
    found = [
        item
        for item in of_kind("ConfigMap", render(chart=chart))
        if "grafana_dashboard" in item["metadata"]["labels"]
    ]
    assert [item["metadata"]["name"] for item in found] == [
        "admirer-dashboard-service",
        "admirer-dashboard-stages",
    ]
    for item in found:
        (text,) = item["data"].values()
        assert json.loads(text)["query"] == "{{ route }}"
        assert item["metadata"]["annotations"] == {"grafana_folder": "admirer"}


def test_each_file_of_rules_becomes_a_prometheus_rule_unchanged(chart: Path) -> None:
    values = {"alerts.additionalLabels": {"release": "prometheus"}}
    (rule,) = of_kind("PrometheusRule", render(chart=chart, values=values, monitors=True))
    assert rule["metadata"]["name"] == "admirer-answers"
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert rule["spec"] == RULES


def test_runbook_links_lead_to_where_the_repository_is_browsed() -> None:
    values = {"alerts.repositoryUrl": "https://git.example/admirer/blob/main/"}
    found = of_kind("PrometheusRule", render(values=values, monitors=True))
    links = [
        rule["annotations"]["runbook_url"]
        for item in found
        for group in item["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert len(links) > 10
    start = "https://git.example/admirer/blob/main/dashboards/RUNBOOK.md#"
    assert all(link.startswith(start) for link in links)


def test_empty_folders_become_nothing(chart: Path) -> None:
    for name in ("dashboards", "rules"):
        shutil.rmtree(chart / name)
    manifests = render(chart=chart, monitors=True)
    assert of_kind("PrometheusRule", manifests) == []
    assert "grafana_dashboard" not in manifests


def script(name: str) -> ModuleType:
    """Return a script of the chart as a module."""
    spec = importlib.util.spec_from_file_location(name, CHART / "files" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("status", "is_ready"), [("True", True), ("False", False), ("Unknown", False)]
)
def test_ready_reads_the_condition(status: str, *, is_ready: bool) -> None:
    conditions = [
        {"type": "UpgradeInProgress", "status": "True", "reason": "x"},
        {"type": "Ready", "status": status, "reason": "NonZeroServeEndpoints", "message": ""},
    ]
    found = script("ready").condition({"status": {"conditions": conditions}})
    assert found == (is_ready, f"Ready is {status}: NonZeroServeEndpoints")


def test_ready_waits_for_a_service_without_conditions() -> None:
    assert script("ready").condition({"metadata": {}}) == (False, "no condition Ready yet")


def test_ready_gives_up_in_time_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script("ready")
    monkeypatch.setattr(module, "service", lambda *_: {})
    assert module.main("photos", "admirer", "0") == 1
    assert "no condition Ready yet" in capsys.readouterr().out


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the address of a server that answers every question, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            found = self.path == "/v1/answers"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b'{"answer": "two"}')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}", asked
        listener.shutdown()
        thread.join()


def test_ask_asks_about_the_first_sample_of_the_bundle(
    server: tuple[str, list[dict[str, Any]]],
) -> None:
    address, asked = server
    demo = ROOT / "bundles" / "demo"
    assert script("ask").main(address, str(demo), "0") == 0
    first = json.loads((demo / "photos" / "questions.jsonl").read_text().splitlines()[0])
    photo = base64.b64encode((demo / "photos" / first["photo"]).read_bytes()).decode()
    assert asked == [{"image": photo, "question": first["question"]}]


def test_ask_draws_a_photo_where_the_bundle_has_none(tmp_path: Path) -> None:
    photo, _ = script("ask").question(str(tmp_path / "hub.yaml"))
    assert photo.startswith(b"\x89PNG")
    assert struct.unpack(">II", photo[16:24]) == (64, 64)
    assert zlib.crc32(photo[12:29]) == struct.unpack(">I", photo[29:33])[0]


def test_ask_fails_where_nobody_answers(tmp_path: Path) -> None:
    assert script("ask").main("http://127.0.0.1:9", str(tmp_path), "0") == 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return tmp_path


def hub_parts() -> list[Any]:
    found: list[Any] = script("model_cache").checkpoints(str(ROOT / "bundles" / "hub.yaml"))
    return found


def fill(cache: Path) -> None:
    for part in hub_parts():
        name = f"models--{part.repo.replace('/', '--')}"
        (cache / "hub" / name / "snapshots" / part.revision).mkdir(parents=True)


def test_the_cache_misses_a_checkpoint_that_is_not_there(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(ROOT / "bundles" / "hub.yaml")
    assert cache.is_dir()
    assert script("model_cache").wait(bundle, 0) == 1
    assert "is not in" in capsys.readouterr().out


def test_the_cache_trusts_what_somebody_else_filled(cache: Path) -> None:
    fill(cache)
    assert script("model_cache").wait(str(ROOT / "bundles" / "hub.yaml"), 0) == 0


def test_the_cache_waits_for_a_checkpoint_that_is_still_being_fetched(cache: Path) -> None:
    fill(cache)
    (cache / ".complete").mkdir()
    missing = script("model_cache").missing(str(ROOT / "bundles" / "hub.yaml"))
    assert "is still being fetched" in missing


def test_fetching_asks_for_every_checkpoint_at_its_commit(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    fetched = []
    monkeypatch.setattr(
        hub, "snapshot_download", lambda repo, *, revision, **_: fetched.append((repo, revision))
    )
    fill(cache)
    module = script("model_cache")
    assert module.fetch(str(ROOT / "bundles" / "hub.yaml")) == 0
    assert fetched == [(part.repo, part.revision) for part in hub_parts()]
    assert len(fetched) == 3
    assert module.wait(str(ROOT / "bundles" / "hub.yaml"), 0) == 0
