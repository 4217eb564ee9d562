"""A plan: a deployment for a target, what it will do, and what ends first as the rate grows."""

import math

from capacity.fit import Model
from capacity.measurements import Record
from capacity.prediction import Prediction
from capacity.simulator import Setting
from capacity.target import Group, Node, Nodes, Target

INGRESS, CORES, GPUS = "ingress", "cores", "gpus"


class Plan(Record):
    """A deployment for a target."""

    target: Target
    setting: Setting
    nodes: dict[Group, int]
    node: Nodes
    num_cpus: dict[str, float]
    num_gpus: dict[str, float]
    predicted: Prediction
    reach_per_s: dict[str, float]
    """Answers a second that each resource could give, the least first."""
    seen_limits: tuple[str, ...]
    """Stages whose number of replicas follows from the highest measured rate of one replica."""
    price_per_hour: float | None

    @property
    def bottleneck(self) -> str:
        """What ends first as the rate grows."""
        return next(iter(self.reach_per_s))

    @property
    def next_bottleneck(self) -> str:
        """What ends first once the bottleneck is widened."""
        return list(self.reach_per_s)[1]


def core_s(model: Model) -> float:
    """Return the processor seconds of one answer in full batches."""
    stages = (each for each in model.stages.values() if each.device == "cpu")
    return sum(each.per_answer_s() for each in stages) + model.ingress_s + model.plane_s


def gpu_s(model: Model) -> float:
    """Return the GPU seconds of one answer in full batches."""
    return sum(each.per_answer_s() for each in model.stages.values() if each.device == "gpu")


def reach_per_s(model: Model, setting: Setting) -> dict[str, float]:
    """Return the answers a second that each resource could give in full batches, least first."""
    reach = {
        name: setting.stages[name].replicas / each.per_answer_s()
        for name, each in model.stages.items()
        if each.device != "hosted" and each.per_answer_s()
    }
    if model.ingress_s:
        reach[INGRESS] = setting.ingress_replicas / model.ingress_s
    if needed := core_s(model):
        reach[CORES] = model.free_cores(setting.cores, setting.stage_replicas) / needed
    if setting.gpus:
        reach[GPUS] = setting.gpus / gpu_s(model)
    if setting.rate_limit:
        reach["language model"] = setting.rate_limit
    return dict(sorted(reach.items(), key=lambda item: item[1]))


def shares(model: Model, setting: Setting, rate: float, device: Group) -> dict[str, float]:
    """Return the cores or GPUs that one replica keeps busy, rounded up to a tenth."""
    busy = {
        name: rate * each.per_answer_s(1) / setting.stages[name].replicas
        for name, each in model.stages.items()
        if each.device == device
    }
    if device == "cpu":
        busy[INGRESS] = rate * model.ingress_s / setting.ingress_replicas
    return {name: min(1.0, max(0.1, math.ceil(each * 10) / 10)) for name, each in busy.items()}


def replicas(setting: Setting, name: str) -> int:
    """Return the replicas of a stage or of the ingress."""
    return setting.ingress_replicas if name == INGRESS else setting.stages[name].replicas


def price_per_hour(counts: dict[Group, int], nodes: Nodes) -> float | None:
    """Return what the nodes cost; None where a price is not known."""
    kinds: dict[Group, Node | None] = {"cpu": nodes.cpu, "gpu": nodes.gpu}
    prices = [
        count * node.price_per_hour
        for group, count in counts.items()
        if (node := kinds[group]) and node.price_per_hour is not None
    ]
    return sum(prices) if len(prices) == len(counts) else None
