"""Ray's own autoscaler reads from the cluster what the chart means by it."""

from typing import Any

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from support.chart_rendering import one, render, value_sets

SETS = value_sets()


def node_types(*arguments: Any, **options: Any) -> dict[str, Any]:
    """Return what the autoscaler makes of the rendered cluster, by worker group."""
    spec = one(render(*arguments, **options), "RayService")["spec"]["rayClusterConfig"]
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        group["rayStartParams"].setdefault("block", "true")
    for group in spec["workerGroupSpecs"]:
        # Defaults of the CRD, which the API server fills in.
        group |= {"replicas": 0, "numOfHosts": 1}
    cluster = {"metadata": {"name": "admirer-abcde", "namespace": "photos"}, "spec": spec}
    made = _derive_autoscaling_config_from_ray_cr(cluster)
    found: dict[str, Any] = made["available_node_types"]
    return found


def test_the_head_takes_no_replica() -> None:
    head = node_types()["headgroup"]
    assert head["resources"]["CPU"] == 0
    assert "GPU" not in head["resources"]
    assert (head["min_workers"], head["max_workers"]) == (0, 0)


@pytest.mark.parametrize("name", SETS)
def test_every_group_offers_the_resource_by_which_stages_choose_it(name: str) -> None:
    workers = {key: item for key, item in node_types(SETS[name]).items() if key != "headgroup"}
    assert workers
    for group, found in workers.items():
        assert found["resources"][f"group-{group}"] == 1
        assert found["resources"]["CPU"] >= 1


def test_slices_count_as_gpus() -> None:
    values = {
        "ray.workerGroups.slices": {
            "minReplicas": 0,
            "maxReplicas": 3,
            "gpu": {"count": 2, "resourceName": "nvidia.com/mig-1g.10gb"},
        }
    }
    slices = node_types(values=values)["slices"]
    assert slices["resources"]["GPU"] == 2
    assert (slices["min_workers"], slices["max_workers"]) == (0, 3)
