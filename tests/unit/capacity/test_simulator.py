import random
from itertools import pairwise

import pytest
import simpy

from capacity.cores import Cores
from capacity.fit import Model, StageModel
from capacity.measurements import STAGES
from capacity.simulator import Setting, simulate, simulate_callers
from capacity.stage import HostedStage, RefusedError, SimulatedStage, StageSetting
from load_tests.client.traffic import arrivals

WIDE = StageSetting(
    replicas=1, max_items=1, max_waiting=10_000, max_ongoing=10_000, max_queued=10_000
)


def stage(per_run_s: float = 0.0, per_item_s: float = 0.0) -> StageModel:
    return StageModel(
        device="cpu", per_run_s=per_run_s, per_item_s=per_item_s, error=0.0, spread=(1.0,),
        max_items=8, max_rate=1000,
    )  # fmt: skip


def model(**stages: StageModel) -> Model:
    return Model(
        cores=8,
        own_cores=0,
        foreign_cores=0,
        stages={name: stages.get(name, stage()) for name in STAGES},
        ingress_s=0,
        plane_s=0,
        alone_s=0.1,
        ingress_max_rate=1000,
    )


def setting(**changes: object) -> Setting:
    given = {"stages": dict.fromkeys(STAGES, WIDE), "cores": 8, "max_in_flight": 10_000}
    return Setting.model_validate({**given, **changes})


def mean(values: tuple[float, ...]) -> float:
    assert values
    return sum(values) / len(values)


def test_one_replica_without_batches_waits_as_an_m_d_1_queue_does() -> None:
    service_s, rate, took_s = 0.1, 7.0, []
    env = simpy.Environment()
    queue = SimulatedStage(env, stage(service_s), WIDE, env.timeout, random.Random(0))

    def ask(due: float) -> object:
        yield env.timeout(due)
        yield queue.call()
        took_s.append(env.now - due)

    for due in arrivals(rate, 1500, seed=1):
        env.process(ask(due))  # type: ignore[arg-type]
    env.run()
    load = rate * service_s
    waits = service_s + load * service_s / (2 * (1 - load))  # Pollaczek and Khinchine
    assert mean(tuple(took_s)) == pytest.approx(waits, rel=0.06)
    assert queue.utilisation(env.now) == pytest.approx(load, rel=0.05)


def test_stages_that_share_a_core_wait_as_processor_sharing_does() -> None:
    """Mean time of M/G/1 processor sharing is s / (1 - load), whatever the distribution."""
    env, chance = simpy.Environment(), random.Random(3)
    cores, took_s = Cores(env, 1.0), []

    def job(due: float, seconds: float) -> object:
        yield env.timeout(due)
        began = env.now
        yield cores.work(seconds)
        took_s.append(env.now - began)

    for due in arrivals(6.0, 2000, seed=2):
        env.process(job(due, chance.choice([0.05, 0.15])))  # type: ignore[arg-type]
    env.run()
    assert mean(tuple(took_s)) == pytest.approx(0.1 / (1 - 0.6), rel=0.08)


def test_two_jobs_on_one_core_end_together_and_later_ones_wait_for_neither() -> None:
    env = simpy.Environment()
    cores, ends = Cores(env, 1.0), []
    for seconds in (1.0, 1.0, 0.5):
        cores.work(seconds).callbacks.append(lambda _: ends.append(env.now))
    env.run()
    assert ends == pytest.approx([1.5, 2.5, 2.5])
    assert cores.busy_s == pytest.approx(2.5)


def ends_of(cores: Cores, *jobs: tuple[float, int]) -> list[float]:
    """Return when work of so many seconds and niceness ends, all begun at once."""
    env, ends = cores._env, [0.0] * len(jobs)

    def wait(number: int, done: simpy.Event) -> object:
        yield done
        ends[number] = env.now

    for number, job in enumerate(jobs):
        env.process(wait(number, cores.work(*job)))  # type: ignore[arg-type]
    env.run()
    return ends


def test_a_yielding_job_gets_a_tenth_of_what_others_get_and_all_that_they_leave() -> None:
    """Linux gives nice value 0 a weight of 1024 and 10 one of 110 (sched(7))."""
    both = ends_of(Cores(simpy.Environment(), 1.0), (1.0, 0), (1.0, 10))
    assert both == pytest.approx([1 + 110 / 1024, 2.0], rel=0.001)
    with_room = ends_of(Cores(simpy.Environment(), 2.0), (1.0, 0), (1.0, 10))
    assert with_room == pytest.approx([1.0, 1.0])


def test_what_a_job_of_one_core_cannot_take_goes_to_those_that_yield() -> None:
    """On 1.5 cores one job can use but one; without the limit it would have got 1.35."""
    cores = Cores(simpy.Environment(), 1.5)
    assert ends_of(cores, (1.0, 0), (1.0, 10)) == pytest.approx([1.0, 1.5])
    assert cores.busy_s == pytest.approx(2.0)


def test_yielding_jobs_share_evenly_among_themselves_in_any_order_of_arrival() -> None:
    nice_first = ends_of(Cores(simpy.Environment(), 1.0), (0.2, 10), (0.2, 10), (1.0, 0), (1.0, 0))
    nice_last = ends_of(Cores(simpy.Environment(), 1.0), (1.0, 0), (1.0, 0), (0.2, 10), (0.2, 10))
    assert nice_first[:2] == nice_last[2:] == pytest.approx([2.4, 2.4])
    assert nice_first[2:] == nice_last[:2] == pytest.approx([2 + 220 / 1024] * 2, rel=0.001)


def test_a_stage_that_yields_gathers_larger_batches_where_cores_are_shared() -> None:
    app = model(captioner=stage(0.06, 0.01), tagger=stage(0.05), answerer=stage(0.05))

    def answers_per_s(niceness: int) -> float:
        yields = WIDE.model_copy(update={"max_items": 8, "niceness": niceness})
        stages = {**dict.fromkeys(STAGES, WIDE), "captioner": yields}
        seen = simulate_callers(app, setting(stages=stages, cores=1), 16, 60.0, seed=0)
        return len(seen.took_s) / seen.seconds

    assert answers_per_s(10) > 1.1 * answers_per_s(0)


def test_work_takes_longer_while_the_cores_are_slow() -> None:
    env = simpy.Environment()
    cores, ends = Cores(env, 1.0, pace=((1.0, 1.0), (2.0, 4.0))), []

    def work() -> object:
        for seconds in (0.5, 1.0, 0.5):
            yield cores.work(seconds)
            ends.append(env.now)

    env.process(work())  # type: ignore[arg-type]
    env.run()
    # Half of the second job is done in the quick second, the other half takes four times as long.
    assert ends == pytest.approx([0.5, 3.0, 3.5])


def test_a_pace_goes_on_while_nothing_is_to_do() -> None:
    env = simpy.Environment()
    cores = Cores(env, 1.0, pace=((1.0, 1.0), (2.0, 4.0)))
    env.run(until=1.5)
    done = cores.work(0.25)
    env.run(until=done)
    assert env.now == pytest.approx(2.5)


def test_work_by_the_second_comes_in_bursts_and_ends_with_the_last_answer() -> None:
    busy = model(captioner=stage(0.1)).model_copy(update={"own_cores": 0.5})
    moments = [0.25 + number for number in range(20)]
    beside = simulate(busy, setting(cores=1), moments, seed=0)
    assert beside.seconds == pytest.approx(19.5, abs=0.1)
    assert beside.quantile_s(0.5) == pytest.approx(0.2, abs=0.01)  # half a core until it is done
    between = simulate(busy, setting(cores=1), [each + 0.5 for each in moments], seed=0)
    assert between.quantile_s(0.5) == pytest.approx(0.1, abs=0.01)


def test_every_replica_works_by_the_second() -> None:
    busy = model(captioner=stage(0.1)).model_copy(update={"replica_cores": 0.05})
    moments = [0.5 * number for number in range(200)]
    one = simulate(busy, setting(), moments, seed=0)
    two_each = dict.fromkeys(STAGES, WIDE.model_copy(update={"replicas": 2}))
    two = simulate(busy, setting(stages=two_each), moments, seed=0)
    assert one.utilisation["cores"] == pytest.approx((0.2 + 5 * 0.05) / 8, rel=0.03)
    assert two.utilisation["cores"] == pytest.approx((0.2 + 10 * 0.05) / 8, rel=0.03)


def test_callers_who_wait_keep_a_stage_as_busy_as_they_are_many() -> None:
    one = simulate_callers(model(captioner=stage(0.1)), setting(), 1, 20.0, seed=0)
    two = simulate_callers(model(captioner=stage(0.1)), setting(), 2, 20.0, seed=0)
    assert len(one.took_s) / one.seconds == pytest.approx(10.0, rel=0.01)
    assert one.quantile_s(0.95) == pytest.approx(0.1)
    assert two.quantile_s(0.5) == pytest.approx(0.2)


def test_a_free_replica_takes_all_that_waits_up_to_its_batch() -> None:
    env = simpy.Environment()
    limits = StageSetting(replicas=1, max_items=4)
    simulated = SimulatedStage(env, stage(1.0, 0.1), limits, env.timeout, random.Random(0))
    ends: list[float] = []

    def ask(due: float) -> object:
        yield env.timeout(due)
        yield simulated.call()
        ends.append(round(env.now, 6))

    for due in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        env.process(ask(due))  # type: ignore[arg-type]
    env.run()
    # One alone; the four that came meanwhile; the one that no longer fitted.
    assert ends == [1.1, 2.5, 2.5, 2.5, 2.5, 3.6]


def test_a_full_queue_refuses() -> None:
    env = simpy.Environment()
    limits = StageSetting(replicas=1, max_items=1, max_waiting=2, max_ongoing=32)
    simulated = SimulatedStage(env, stage(1.0), limits, env.timeout, random.Random(0))
    simulated.call()
    env.run(until=0.5)
    simulated.call()
    simulated.call()
    with pytest.raises(RefusedError):
        simulated.call()


def test_cores_that_others_keep_busy_count_as_used_and_slow_what_shares_them() -> None:
    moments = arrivals(5.0, 60, seed=4)
    busy = model(captioner=stage(0.1)).model_copy(update={"foreign_cores": 1.5})
    alone = simulate(model(captioner=stage(0.1)), setting(cores=2), moments, seed=0)
    beside = simulate(busy, setting(cores=2), moments, seed=0)
    assert beside.quantile_s(0.5) > 1.5 * alone.quantile_s(0.5)
    assert beside.utilisation["cores"] > 0.75 + alone.utilisation["cores"] / 2


def test_the_ingress_refuses_what_it_has_no_room_for() -> None:
    moments = [0.0, 0.01, 0.02, 5.0]
    seen = simulate(model(captioner=stage(1.0)), setting(max_in_flight=2), moments, seed=0)
    assert (len(seen.took_s), seen.refused) == (3, 1)
    assert seen.served_share == 0.75


def test_two_replicas_halve_the_load() -> None:
    moments = arrivals(15.0, 60, seed=4)
    stages = {**dict.fromkeys(STAGES, WIDE), "tagger": WIDE.model_copy(update={"replicas": 2})}
    one = simulate(model(tagger=stage(0.1)), setting(), moments, seed=0)
    two = simulate(model(tagger=stage(0.1)), setting(stages=stages), moments, seed=0)
    assert two.quantile_s(0.95) < 0.5 < one.quantile_s(0.95)
    assert two.utilisation["tagger"] == pytest.approx(0.75, rel=0.1)


def test_a_simulation_repeats_itself_for_a_seed() -> None:
    moments = arrivals(5.0, 30, seed=5)
    first, again = (
        simulate(model(tagger=stage(0.1)), setting(), moments, seed=9) for _ in range(2)
    )
    assert first == again


def test_a_hosted_model_accepts_no_more_calls_than_its_rate() -> None:
    env = simpy.Environment()
    hosted = HostedStage(env, (0.5,), 2.0, random.Random(0))
    ends: list[float] = []
    for _ in range(3):
        hosted.call().callbacks.append(lambda _: ends.append(env.now))
    env.run()
    assert ends == [0.5, 1.0, 1.5]


def test_arrivals_are_poisson_and_the_same_for_a_seed() -> None:
    moments = arrivals(20.0, 500, seed=7)
    assert moments == arrivals(20.0, 500, seed=7) != arrivals(20.0, 500, seed=8)
    assert len(moments) == pytest.approx(10_000, rel=0.03)
    gaps = [b - a for a, b in pairwise(moments)]
    squares = mean(tuple(gap**2 for gap in gaps))
    assert squares == pytest.approx(2 * mean(tuple(gaps)) ** 2, rel=0.1)
