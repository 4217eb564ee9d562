"""Nodes and GPUs of the cluster, as Ray's agent on each node reports them.

They know no application; on a cluster of several, they are everybody's.
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
    """Return the share of time in which a GPU ran anything, by GPU."""
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
    """Return the mean share of time in which the GPUs of a stage's nodes ran anything, by stage."""
    busy = aggregate("avg", select(GPU_UTILIZATION, scope), scope, "ip")
    return f"{_of_stages(busy, scope)} / 100"


def stage_gpu_memory_share(scope: Scope) -> str:
    """Return the share in use of the fullest GPU of a stage's nodes, by stage."""
    return _of_stages(aggregate("max", gpu_memory_share(scope), scope, "ip"), scope, "max")


def _of_stages(by_node: str, scope: Scope, how: str = "avg") -> str:
    """Return what is known of nodes for the stages that run a model on them.

    Ray tells GPUs' load by process too, but in a pod the driver names processes of the host, which
    Ray does not find.
    """
    placed = f'label_replace({select(BATCH_MAX_ITEMS, scope)}, "ip", "$1", "NodeAddress", "(.+)")'
    here = aggregate("count", placed, scope, "ip", "deployment")
    joined = f"{by_node} * on ({', '.join((*scope.by, 'ip'))}) group_right () ({here} > bool 0)"
    return aggregate(how, joined, scope, "deployment")
