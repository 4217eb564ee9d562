"""Every pod passes the `restricted` Pod Security Standard, with a read-only root besides."""

import copy
from typing import Any

import pytest
from support.chart_rendering import ALTERNATIVES, RELEASE, one, pod_templates, render, value_sets

SETS = value_sets()


def faults(pod: dict[str, Any]) -> list[str]:
    """Return what the `restricted` Pod Security Standard, or our read-only roots, would refuse."""
    spec = pod["spec"]
    whole = spec.get("securityContext", {})
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected"}
    for volume in spec.get("volumes", []):
        found += [f"volume {kind}" for kind in set(volume) - {"name"} - allowed]
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container.get("securityContext", {})
        rules = {
            "runAsNonRoot": {**whole, **own}.get("runAsNonRoot") is True,
            "runAsUser": {**whole, **own}.get("runAsUser") != 0,
            "seccomp": {**whole, **own}.get("seccompProfile") == {"type": "RuntimeDefault"},
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "privileged": not own.get("privileged"),
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "read-only root": own.get("readOnlyRootFilesystem") is True,
            "host port": not any("hostPort" in port for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {rule}" for rule, holds in rules.items() if not holds]
    return found


@pytest.mark.parametrize("name", [*SETS, *ALTERNATIVES])
def test_every_pod_passes_the_restricted_level(name: str) -> None:
    pods = dict(pod_templates(render(SETS.get(name), ALTERNATIVES.get(name))))
    assert len(pods) >= 4
    assert {where: faults(pod) for where, pod in pods.items()} == {where: [] for where in pods}


def test_the_check_of_pods_does_find_faults() -> None:
    pod = copy.deepcopy(dict(pod_templates(render()))[f"RayService/{RELEASE}/head"])
    del pod["spec"]["securityContext"]["seccompProfile"]
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = {}
    assert faults(pod) == ["logs: seccomp", "ray-head: seccomp", "ray-head: capabilities"]


def test_the_autoscaler_that_kuberay_adds_has_the_same_security_context() -> None:
    cluster = one(render(), "RayService")["spec"]["rayClusterConfig"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    options = cluster["autoscalerOptions"]
    assert options["securityContext"] == head["containers"][0]["securityContext"]
    mounts = {mount["name"] for mount in options["volumeMounts"]}
    assert mounts <= {volume["name"] for volume in head["volumes"]}
