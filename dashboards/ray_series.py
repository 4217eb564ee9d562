"""Ray's own series that pages and rules use, each named here and nowhere else.

Names and labels are those of the Ray that `pyproject.toml` pins, read from a running app. They
differ between versions, so a test runs every query against a real Prometheus.
"""

from dashboards.promql import OtherSeries

_DEPLOYMENT = ("application", "deployment")
_NODE = ("ip", "IsHeadNode", "RayNodeType")
_GPU = (*_NODE, "GpuDeviceName", "GpuIndex")

REPLICA_HEALTHY = OtherSeries(
    "gauge",
    "ray_serve_deployment_replica_healthy",
    "1 for each replica that passes its health check, 0 for one that does not.",
    (*_DEPLOYMENT, "replica"),
)
TARGET_REPLICAS = OtherSeries(
    "gauge",
    "ray_serve_autoscaling_target_replicas",
    "Target of the autoscaler, in replicas, within the bounds of the settings.",
    _DEPLOYMENT,
)
TOTAL_REQUESTS = OtherSeries(
    "gauge",
    "ray_serve_autoscaling_total_requests",
    "Ongoing and queued requests of a deployment, as the autoscaler counts them.",
    _DEPLOYMENT,
)
TARGET_ONGOING = OtherSeries(
    "gauge",
    "ray_serve_autoscaling_target_ongoing_requests",
    "Target of ongoing requests per replica.",
    _DEPLOYMENT,
)
QUEUED = OtherSeries(
    "gauge",
    "ray_serve_deployment_queued_queries",
    "Requests queued at a caller until a replica takes them.",
    (*_DEPLOYMENT, "handle", "actor_id"),
)
DEPLOYMENT_STATUS = OtherSeries(
    "gauge",
    "ray_serve_deployment_status",
    "1 deploy failed, 2 unhealthy, 3 updating, 4 and 5 scaling, 6 healthy.",
    _DEPLOYMENT,
)
APPLICATION_STATUS = OtherSeries(
    "gauge",
    "ray_serve_application_status",
    "1 deploy failed, 2 unhealthy, 3 not started, 4 deleting, 5 deploying, 6 running.",
    ("application",),
)
REPLICA_STARTUP = OtherSeries(
    "histogram",
    "ray_serve_replica_startup_latency_ms",
    "Milliseconds from a replica's creation to ready.",
    _DEPLOYMENT,
)
REPLICA_STARTS = OtherSeries(
    "counter",
    "ray_serve_deployment_replica_starts_total",
    "Starts of replicas; more than scaling explains are crashes.",
    (*_DEPLOYMENT, "replica"),
)
NODE_CPU = OtherSeries(
    "gauge", "ray_node_cpu_utilization", "CPU of a node in use, in percent of all its cores.", _NODE
)
NODE_MEMORY_USED = OtherSeries(
    "gauge", "ray_node_mem_used", "Bytes of memory in use on a node, or in its container.", _NODE
)
NODE_MEMORY_TOTAL = OtherSeries(
    "gauge", "ray_node_mem_total", "Bytes of memory of a node, or of its container.", _NODE
)
GPU_UTILIZATION = OtherSeries(
    "gauge", "ray_node_gpus_utilization", "Utilization of a GPU, in percent.", _GPU
)
GPU_MEMORY_USED = OtherSeries(
    "gauge", "ray_node_gram_used", "Memory of a GPU in use, in MiB despite its help text.", _GPU
)
GPU_MEMORY_FREE = OtherSeries(
    "gauge", "ray_node_gram_available", "Memory of a GPU that is free, in MiB.", _GPU
)

RAY_SERIES = (
    REPLICA_HEALTHY, TARGET_REPLICAS, TOTAL_REQUESTS, TARGET_ONGOING, QUEUED,
    DEPLOYMENT_STATUS, APPLICATION_STATUS, REPLICA_STARTUP, REPLICA_STARTS,
    NODE_CPU, NODE_MEMORY_USED, NODE_MEMORY_TOTAL,
    GPU_UTILIZATION, GPU_MEMORY_USED, GPU_MEMORY_FREE,
)  # fmt: skip
