"""Nodes and GPUs of the cluster, as Ray's agent on each node reports them.

They have no label for the application; several on one cluster share them.
"""

from dashboards.promql import Scope, aggregate, select
from dashboards.ray_series import (
    GPU_MEMORY_FREE,
    GPU_MEMORY_USED,
    GPU_UTILIZATION,
    NODE_CPU,
    NODE_MEMORY_TOTAL,
    NODE_MEMORY_USED,
)
from deployments.telemetry.metrics import BATCH_MAX_ITEMS

_MIB = 1024 * 1024
_GPU = ("ip", "GpuIndex", "GpuDeviceName")


def cpu_share(scope: Scope) -> str:
    """Return the share of a node's cores in use, by node."""
    return f"{aggregate('max', select(NODE_CPU, scope), scope, 'ip')} / 100"


def memory_share(scope: Scope) -> str:
    """Return the share of a node's memory in use, by node."""
    used = aggregate("max", select(NODE_MEMORY_USED, scope), scope, "ip")
    return f"{used} / {aggregate('max', select(NODE_MEMORY_TOTAL, scope), scope, 'ip')}"


def gpu_share(scope: Scope) -> str:
    """Return the utilization of each GPU, 0 to 1."""
    return f"{aggregate('max', select(GPU_UTILIZATION, scope), scope, *_GPU)} / 100"


def gpu_memory_bytes(scope: Scope) -> str:
    """Return bytes of a GPU's memory in use, by GPU."""
    return f"{aggregate('max', select(GPU_MEMORY_USED, scope), scope, *_GPU)} * {_MIB}"


def gpu_memory_share(scope: Scope) -> str:
    """Return the share of a GPU's memory in use, by GPU."""
    used = aggregate("max", select(GPU_MEMORY_USED, scope), scope, *_GPU)
    free = aggregate("max", select(GPU_MEMORY_FREE, scope), scope, *_GPU)
    return f"{used} / ({used} + {free})"


def stage_gpu_share(scope: Scope) -> str:
    """Return the mean utilization of the GPUs of a stage's nodes, by stage."""
    busy = aggregate("avg", select(GPU_UTILIZATION, scope), scope, "ip")
    return f"{_of_stages(busy, scope)} / 100"


def stage_gpu_memory_share(scope: Scope) -> str:
    """Return the largest memory use of a GPU of a stage's nodes, as a share, by stage."""
    return _of_stages(aggregate("max", gpu_memory_share(scope), scope, "ip"), scope, "max")


def _of_stages(by_node: str, scope: Scope, how: str = "avg") -> str:
    """Return a metric of nodes for the stages that run a model on them.

    Ray also reports the load of GPUs by process, but in a pod the driver has the process ids of the
    host, which Ray does not find.
    """
    placed = f'label_replace({select(BATCH_MAX_ITEMS, scope)}, "ip", "$1", "NodeAddress", "(.+)")'
    here = aggregate("count", placed, scope, "ip", "deployment")
    joined = f"{by_node} * on ({', '.join((*scope.by, 'ip'))}) group_right () ({here} > bool 0)"
    return aggregate(how, joined, scope, "deployment")
