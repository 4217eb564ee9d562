"""Every selector matches labels that pods really have, KubeRay's own included."""

from typing import Any

import pytest
from support.chart_rendering import (
    ALTERNATIVES,
    EVERYTHING,
    objects,
    one,
    pod_templates,
    render,
    value_sets,
)

SETS = value_sets()


def labels_of_pods(manifests: str) -> list[dict[str, str]]:
    """Return the labels of every pod, those that KubeRay adds to pods of Ray included."""
    found = []
    for where, pod in pod_templates(manifests):
        labels = dict(pod["metadata"]["labels"])
        kind, _, group = where.partition("/")
        if kind == "RayService":
            node = "head" if group.endswith("/head") else "worker"
            name = "headgroup" if node == "head" else group.rpartition("/")[2]
            labels |= {
                "ray.io/is-ray-node": "yes",
                "ray.io/node-type": node,
                "ray.io/group": name,
                "ray.io/cluster": "admirer-abcde",
                "ray.io/serve": "true" if node == "worker" else "false",
                "app.kubernetes.io/name": "kuberay",
                "app.kubernetes.io/created-by": "kuberay-operator",
            }
        found.append(labels)
    return found


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Return whether a label selector chooses a pod."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", [])
    )


def own_selectors(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the selectors of an object that mean pods of this release."""
    spec = item.get("spec", {})
    if item["kind"] in ("PodMonitor", "PodDisruptionBudget"):
        return [spec["selector"]]
    if item["kind"] == "Service":
        return [{"matchLabels": spec["selector"]}]
    if item["kind"] != "NetworkPolicy":
        return []
    rules = [*spec.get("ingress", []), *spec.get("egress", [])]
    peers = [peer for rule in rules for peer in [*rule.get("from", []), *rule.get("to", [])]]
    inside = [peer["podSelector"] for peer in peers if set(peer) == {"podSelector"}]
    ours = [peer for peer in inside if "app.kubernetes.io/instance" in peer.get("matchLabels", {})]
    return [spec["podSelector"], *ours]


@pytest.mark.parametrize("name", [*SETS, *ALTERNATIVES])
def test_every_selector_matches_a_pod_that_is_there(name: str) -> None:
    manifests = render(SETS.get(name), ALTERNATIVES.get(name), monitors=True)
    pods = labels_of_pods(manifests)
    selectors = [
        (f"{item['kind']}/{item['metadata']['name']}", selector)
        for item in objects(manifests)
        for selector in own_selectors(item)
    ]
    assert len(selectors) >= 6
    unmatched = [
        where for where, chosen in selectors if not any(matches(chosen, pod) for pod in pods)
    ]
    assert unmatched == []


def test_every_selector_leaves_the_pods_of_another_release_alone() -> None:
    mine = render(values=EVERYTHING, monitors=True)
    others = labels_of_pods(render(release="other", values=EVERYTHING))
    chosen = [selector for item in objects(mine) for selector in own_selectors(item)]
    assert chosen
    assert [selector for selector in chosen if any(matches(selector, pod) for pod in others)] == []


@pytest.mark.parametrize(
    ("monitor", "service"),
    [("admirer", "admirer-metrics"), ("admirer-load-test", "admirer-load-test")],
)
def test_each_service_monitor_chooses_its_service_alone(monitor: str, service: str) -> None:
    manifests = render(values=ALTERNATIVES["service monitor"], monitors=True)
    selector = one(manifests, "ServiceMonitor", monitor)["spec"]["selector"]
    services = [item["metadata"] for item in objects(manifests) if item["kind"] == "Service"]
    assert [it["name"] for it in services if matches(selector, it["labels"])] == [service]


def test_every_monitored_port_is_a_port_of_some_pod() -> None:
    manifests = render(values=EVERYTHING, monitors=True)
    ports = {
        port["name"]
        for _, pod in pod_templates(manifests)
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }
    monitors = [item for item in objects(manifests) if item["kind"] == "PodMonitor"]
    assert len(monitors) == 2
    endpoints = [each for item in monitors for each in item["spec"]["podMetricsEndpoints"]]
    assert {endpoint["port"] for endpoint in endpoints} <= ports


def test_pods_of_ray_have_no_label_that_kuberay_owns_or_a_release_changes() -> None:
    for where, pod in pod_templates(render(values=EVERYTHING)):
        if where.startswith("RayService"):
            assert set(pod["metadata"]["labels"]) == {
                "app.kubernetes.io/instance",
                "app.kubernetes.io/part-of",
                "app.kubernetes.io/component",
            }
