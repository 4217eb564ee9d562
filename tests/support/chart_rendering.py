"""Render the chart with helm, and look at what comes out."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "admirer"
RELEASE, NAMESPACE = "admirer", "photos"
KUBERNETES = "1.34.0"
"""Rendered for this version: a helm built from source claims an ancient one."""
MONITORS = tuple(
    f"monitoring.coreos.com/v1/{kind}"
    for kind in ("PodMonitor", "ServiceMonitor", "PrometheusRule")
)
SIMULATOR = CHART / "ci" / "simulator-values.yaml"
LAPTOP = CHART / "examples" / "laptop-kind.yaml"

Object = dict[str, Any]

EVERYTHING: Object = {
    "ingress": {"enabled": True, "hosts": [{"host": "admirer.example"}]},
    "ray.head.minAvailable": 1,
    "ray.workerDefaults.minReplicas": 2,
    "modelCache.enabled": True,
    "openai.existingSecret.name": "key",
    "app.limits": {"imageUrl": {"enabled": True}},
    "networkPolicy.clients": [{"podSelector": {"matchLabels": {"app": "web"}}}],
    "loadTest.enabled": True,
}
ALTERNATIVES: dict[str, Object] = {
    "all": EVERYTHING,
    "service monitor": {
        "metrics.podMonitor.enabled": False,
        "metrics.serviceMonitor.enabled": True,
        "loadTest.enabled": True,
    },
}
"""What no shipped values file asks for, by name."""


def value_sets() -> dict[str, list[Path]]:
    """Return every shipped set of values by name; the laptop's is put over the simulator's."""
    examples = sorted((CHART / "examples").glob("*.yaml"))
    assert len(examples) >= 4
    sets = {file.stem: [file] for file in examples if file != LAPTOP}
    return {"defaults": [], "simulator": [SIMULATOR], LAPTOP.stem: [SIMULATOR, LAPTOP], **sets}


def tool(name: str) -> str:
    """Return the path of a tool, or skip the test where the machine has none."""
    home = os.environ.get("ADMIRER_CLUSTER_HOME", "~/.cache/admirer-cluster")
    folders = [ROOT / ".tools" / "bin", Path(home).expanduser() / "bin"]
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed: `make test-chart` installs it")
    return found


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a tool and return what it said."""
    command = [tool(name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def template(
    files: list[Path] | None = None,
    values: Object | None = None,
    *,
    chart: Path = CHART,
    release: str = RELEASE,
    monitors: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `helm template`; `values` come over the files."""
    arguments = ["template", release, chart, "--namespace", NAMESPACE, "--kube-version", KUBERNETES]
    for file in files or []:
        arguments += ["--values", file]
    if monitors:
        arguments += [item for kind in MONITORS for item in ("--api-versions", kind)]
    for key, value in (values or {}).items():
        arguments += ["--set-json", f"{key}={json.dumps(value)}"]
    return run("helm", *arguments)


def render(files: list[Path] | None = None, values: Object | None = None, **how: Any) -> str:
    """Return the rendered manifests."""
    done = template(files, values, **how)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(values: Object, *, release: str = RELEASE) -> str:
    """Return the words with which helm refuses the values."""
    done = template(values=values, release=release)
    assert done.returncode != 0, f"accepted: {values}"
    return done.stderr


def objects(manifests: str) -> list[Object]:
    """Return the rendered objects."""
    found = [item for item in yaml.load_all(manifests, Loader=yaml.CSafeLoader) if item]
    assert found
    return found


def one(manifests: str, kind: str, name: str | None = None) -> Object:
    """Return the one object of a kind (and name)."""
    found = [
        item
        for item in objects(manifests)
        if item["kind"] == kind and name in (None, item["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pod_templates(manifests: str) -> Iterator[tuple[str, Object]]:
    """Yield (where, pod template) of everything that becomes pods, test pods included."""
    for item in objects(manifests):
        where = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "RayService":
            cluster = item["spec"]["rayClusterConfig"]
            yield f"{where}/head", cluster["headGroupSpec"]["template"]
            for group in cluster["workerGroupSpecs"]:
                yield f"{where}/{group['groupName']}", group["template"]
        elif item["kind"] == "Job":
            yield where, item["spec"]["template"]
        elif item["kind"] == "Pod":
            yield where, item
