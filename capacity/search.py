"""Search for the cheapest deployment that keeps a target: grow from the bottleneck, then shrink.

No part is planned beyond what was seen: batches are no larger, a replica gets no higher rate and
cores are no busier than in the load test, so a plan for more is made of more replicas and nodes,
and says so.
"""

import math
from collections.abc import Sequence

from capacity.fit import Model
from capacity.measurements import STAGES
from capacity.plan import (
    CORES,
    GPUS,
    INGRESS,
    Plan,
    core_s,
    gpu_s,
    price_per_hour,
    reach_per_s,
    replicas,
    shares,
)
from capacity.prediction import Prediction, predict
from capacity.problems import CapacityError
from capacity.simulator import Setting
from capacity.stage import StageSetting
from capacity.target import Group, Nodes, Target
from load_tests.client.traffic import arrivals

SERVED = 0.995
"""Least share of the questions that a plan must answer."""
BUSY = 0.7
"""Highest utilization with which the search starts."""
QUESTIONS = (200, 1000)
"""Questions in one simulation: enough for a p95, few enough for a search."""
PATIENCE = 4
"""Steps without a better p95 after which the search gives up."""


def search(model: Model, target: Target, nodes: Nodes) -> Plan:
    """Return the cheapest plan that was found.

    Raises:
        CapacityError: No plan keeps the target, or only one beyond what was measured.
    """
    _refuse_impossible(model, target, nodes)
    looking = _Search(model, target, nodes)
    setting = looking.shrunk(looking.grown(looking.first()))
    return looking.plan(setting)


def _refuse_impossible(model: Model, target: Target, nodes: Nodes) -> None:
    if target.p95_s < model.alone_s:
        raise CapacityError(
            f"One answer alone takes {model.alone_s * 1000:.0f} ms (median), so no number of"
            f" replicas keeps p95 at {target.p95_s * 1000:.0f} ms."
        )
    if target.rate_limit and target.rate > target.rate_limit:
        raise CapacityError(
            f"The language model accepts {target.rate_limit:g} calls a second, fewer than the"
            f" {target.rate:g} questions asked."
        )
    usable = model.free_cores(nodes.cpu.cores * nodes.most, len(STAGES))
    needed = core_s(model) * target.rate
    if needed > usable:
        raise CapacityError(
            f"{target.rate:g} a second need {needed:.1f} cores and {nodes.most} nodes have"
            f" {usable:.1f}; at most {usable / core_s(model):.1f} a second can be reached."
        )
    if gpu_s(model) and nodes.gpu is None:
        raise CapacityError("Stages run on GPUs and no node with a GPU is named.")


class _Search:
    def __init__(self, model: Model, target: Target, nodes: Nodes) -> None:
        self._model, self._target, self._nodes = model, target, nodes
        count = min(max(QUESTIONS[0], target.rate * 30), QUESTIONS[1])
        self._moments: Sequence[float] = arrivals(target.rate, count / target.rate, 1)
        self._least = {
            **{name: math.ceil(target.rate / each.max_rate) for name, each in model.stages.items()},
            INGRESS: math.ceil(target.rate / model.ingress_max_rate),
        }
        """Replicas below which one would have to do more than was ever seen."""

    def first(self) -> Setting:
        """Return where the search begins: no resource busier than BUSY."""
        rate, model = self._target.rate / BUSY, self._model
        stages = {
            name: StageSetting(
                replicas=max(self._least[name], math.ceil(rate * each.per_answer_s())),
                max_items=each.max_items,
                niceness=each.niceness,
                items_per_call=each.items_per_call,
            )
            for name, each in model.stages.items()
        }
        cores_rate = self._target.rate / min(BUSY, model.most_busy)
        taken_cores = model.taken_cores(sum(each.replicas for each in stages.values()))
        busy_cores = (cores_rate * core_s(model) + taken_cores) / model.usable
        cpu = math.ceil(busy_cores / self._nodes.cpu.cores)
        gpu = self._nodes.gpu
        gpus = math.ceil(rate * gpu_s(model) / gpu.gpus) * gpu.gpus if gpu and gpu.gpus else 0
        return Setting(
            stages=stages,
            ingress_replicas=max(self._least[INGRESS], math.ceil(rate * model.ingress_s)),
            cores=min(cpu, self._nodes.most) * self._nodes.cpu.cores,
            gpus=gpus,
            rate_limit=self._target.rate_limit,
        )

    def grown(self, setting: Setting) -> Setting:
        """Return the setting with as much more as it needs."""
        best_s, without_gain = float("inf"), 0
        while without_gain < PATIENCE:
            said = self._predict(setting)
            if self._keeps(said):
                return setting
            without_gain = without_gain + 1 if said.p95_s.high > 0.98 * best_s else 0
            best_s = min(best_s, said.p95_s.high)
            widened = self._wider(setting, said)
            if widened is None:
                break
            setting = widened
        tightest = max(said.utilisation, key=lambda name: said.utilisation[name])
        raise CapacityError(
            f"No plan keeps p95 at {self._target.p95_s * 1000:.0f} ms for {self._target.rate:g} a"
            f" second: the best may have {best_s * 1000:.0f} ms, with the {tightest} the"
            f" busiest at {said.utilisation[tightest]:.0%} of {self._nodes.most} nodes at most."
        )

    def _wider(self, setting: Setting, said: Prediction) -> Setting | None:
        use = said.utilisation
        more_cores = setting.cores + self._nodes.cpu.cores
        if (
            use[CORES] > min(0.5, self._model.most_busy)
            and more_cores <= self._nodes.most * self._nodes.cpu.cores
        ):
            return setting.model_copy(update={"cores": more_cores})
        gpu = self._nodes.gpu
        if use.get(GPUS, 0.0) > 0.5 and gpu and setting.gpus < self._nodes.most * gpu.gpus:
            return setting.model_copy(update={"gpus": setting.gpus + gpu.gpus})
        busiest = max((*STAGES, INGRESS), key=lambda name: use[name])
        if use[CORES] > 0.95 or use[busiest] < 0.05:
            return None  # replicas do not help if no core is free, or none is saturated
        return _with(setting, busiest, 1)

    def shrunk(self, setting: Setting) -> Setting:
        """Return the setting without what it does not need, the dearest first."""
        for name in (GPUS, CORES, *STAGES, INGRESS):
            while (smaller := self._less(setting, name)) != setting and self._possible(smaller):
                if not self._keeps(self._predict(smaller)):
                    break
                setting = smaller
        return setting

    def _less(self, setting: Setting, name: str) -> Setting:
        gpu = self._nodes.gpu
        if name == GPUS:
            return setting.model_copy(update={"gpus": setting.gpus - (gpu.gpus if gpu else 0)})
        if name == CORES:
            return setting.model_copy(update={"cores": setting.cores - self._nodes.cpu.cores})
        return _with(setting, name, -1)

    def _possible(self, setting: Setting) -> bool:
        counts = {name: stage.replicas for name, stage in setting.stages.items()}
        enough = all(count >= max(1, self._least[name]) for name, count in counts.items())
        needed = self._target.rate * core_s(self._model)
        return (
            enough
            and setting.ingress_replicas >= max(1, self._least[INGRESS])
            and self._model.free_cores(setting.cores, setting.stage_replicas) >= needed
            and setting.gpus >= self._target.rate * gpu_s(self._model)
            and (setting.gpus > 0 or not gpu_s(self._model))
        )

    def _predict(self, setting: Setting) -> Prediction:
        return predict(self._model, setting, self._moments, self._target.rate)

    def _keeps(self, said: Prediction) -> bool:
        return (
            said.p95_s.high <= self._target.p95_s
            and said.served_share >= SERVED
            and said.utilisation[CORES] <= self._model.most_busy
        )

    def plan(self, setting: Setting) -> Plan:
        """Return the plan, its limits set from what the simulation saw."""
        seen = self._predict(setting)
        rate, slo_s, ingress = self._target.rate, self._target.p95_s, setting.ingress_replicas
        in_flight = math.ceil(max(rate * slo_s, 1.5 * seen.most_in_flight, 4) / ingress)
        stages = {
            name: stage.model_copy(
                update={
                    "max_ongoing": max(2 * stage.max_items, min(in_flight, 128)),
                    "max_waiting": max(2 * stage.max_items, min(in_flight, 128)),
                    "max_queued": max(8, in_flight),
                }
            )
            for name, stage in setting.stages.items()
        }
        limited = setting.model_copy(update={"stages": stages, "max_in_flight": in_flight})
        said = self._predict(limited)
        counts: dict[Group, int] = {"cpu": round(setting.cores / self._nodes.cpu.cores)}
        if gpu := (self._nodes.gpu if setting.gpus else None):
            counts["gpu"] = round(setting.gpus / gpu.gpus)
        return Plan(
            target=self._target,
            setting=limited,
            nodes=counts,
            node=self._nodes,
            num_cpus=shares(self._model, limited, rate, "cpu"),
            num_gpus=shares(self._model, limited, rate, "gpu"),
            predicted=said,
            reach_per_s=reach_per_s(self._model, limited),
            seen_limits=tuple(
                name for name, least in self._least.items() if least == replicas(setting, name) > 1
            ),
            price_per_hour=price_per_hour(counts, self._nodes),
        )


def _with(setting: Setting, name: str, more: int) -> Setting:
    if name == INGRESS:
        return setting.model_copy(update={"ingress_replicas": setting.ingress_replicas + more})
    stage = setting.stages[name]
    changed = stage.model_copy(update={"replicas": stage.replicas + more})
    return setting.model_copy(update={"stages": {**setting.stages, name: changed}})
