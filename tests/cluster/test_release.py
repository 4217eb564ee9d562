"""A release from `helm install` to `helm uninstall` on a real cluster, in this order.

The tests share one release and build on one another, as an operator's day does. Loads go to the
cluster's own Service, from a pod in it.
"""

import urllib.request
from typing import Any

import pytest
from cluster.conftest import HOST, things
from support.cluster.commands import kubectl, wait_for
from support.cluster.load import Asker, connects
from support.cluster.release import ROOT, TWO_OF_EACH, Json, Release
from support.cluster.stranger import CORE, SERVE

from load_tests.client.messages import form
from load_tests.client.questions import read_questions

pytestmark = pytest.mark.timeout(1200)

REFUSED = "UNAUTHENTICATED"
LOAD_TEST_PORTS = (5557, 8089, 9646)
"""Of the workers, the page and the metrics."""


def test_the_api_server_accepts_every_object_without_a_warning(
    release: Release, things_before: set[str]
) -> None:
    objects = release.rendered()
    assert "kind: RayService" in objects
    kubectl(
        *("--namespace", release.namespace, "create", "--dry-run=server", "--filename=-"),
        "--warnings-as-errors",
        stdin=objects,
    )
    assert things(release.namespace) == things_before


def test_the_rayservice_becomes_ready_and_its_pods_run_under_the_restricted_level(
    installed: Release,
) -> None:
    assert installed.condition("Ready") == "True"

    def containers() -> list[dict[str, Any]]:
        pods = installed.pods("head") + installed.pods("worker")
        return [each for pod in pods for each in pod["status"]["containerStatuses"]]

    def all_ready() -> bool:
        # The head with its autoscaler, and two workers, of which one may still be starting.
        return [each["ready"] for each in containers()] == [True] * 4

    wait_for("three pods run", all_ready, within_s=180)
    assert [each["restartCount"] for each in containers()] == [0] * 4


def test_helm_test_passes(installed: Release) -> None:
    printed = installed.helm("test", installed.name, timeout_s=600)
    assert printed.count("Succeeded") == 2


def test_a_question_is_answered_through_the_service(installed: Release, asker: Asker) -> None:
    question = asker.ask(installed.url)
    assert question["statuses"] == [200]
    assert question["words"]


def test_a_question_is_answered_through_the_ingress(
    installed: Release, ingress_class: str | None
) -> None:
    if ingress_class is None:
        pytest.skip("no ingress controller is installed")
    first = read_questions(ROOT / "bundles" / "demo" / "photos")[0]
    body, kind = form([("image", first.photo), ("question", first.question)])

    def address() -> str | None:
        status = installed.get("ingress", installed.name)["status"].get("loadBalancer", {})
        for entry in status.get("ingress", []):
            found: str | None = entry.get("ip") or entry.get("hostname")
            return found
        return None

    where = wait_for("the Ingress has an address", address, within_s=60)
    request = urllib.request.Request(
        f"http://{where}/v1/answers", body, {"Content-Type": kind, "Host": HOST}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - as above
        assert response.status == 200


def test_a_load_test_has_a_verdict_and_only_its_workers_reach_its_master(
    installed: Release, asker: Asker, policies_hold: bool
) -> None:
    # Long enough to be looked at while it runs.
    installed.install("--set=loadTest.enabled=true", "--set=loadTest.durationSeconds=90")

    def status(role: str) -> dict[str, Any]:
        selector = f"app.kubernetes.io/component=load-test-{role}"
        (job,) = installed.get("jobs", f"--selector={selector}")["items"]
        return dict(job["status"])

    def ended() -> bool:
        return any(each["status"] == "True" for each in status("master").get("conditions", []))

    master, address = wait_for(
        "the master", lambda: _load_test_pod(installed, "master"), within_s=120
    )
    worker, _ = wait_for("a worker", lambda: _load_test_pod(installed, "worker"), within_s=120)

    def listening() -> set[int]:
        # A pod reaches itself whatever the policies say. The page is there in some modes only.
        return {
            port for port in LOAD_TEST_PORTS if connects(installed.namespace, master, address, port)
        }

    wait_for("the master listens", lambda: listening() >= {5557, 9646}, within_s=120)
    assert connects(installed.namespace, worker, address, 5557), "a worker must reach the master"
    reached = {port for port in LOAD_TEST_PORTS if asker.reaches(address, port)}
    assert listening() >= {5557, 9646}, "where nothing listens, a closed port proves nothing"
    wait_for("a verdict", ended, within_s=300)
    log = kubectl(
        *("--namespace", installed.namespace, "logs", "--tail=-1"),
        "--selector=app.kubernetes.io/component=load-test-master",
    )
    assert status("master").get("succeeded") == 1, log
    assert "2 workers connected" in log
    assert "All limits were kept." in log
    wait_for("the workers' end", lambda: status("worker").get("succeeded") == 2, within_s=120)
    installed.install()
    if not policies_hold:
        assert reached, "the probe itself is broken"
        pytest.skip("there was a verdict, but this cluster enforces no NetworkPolicy")
    assert reached == set()


def test_rays_own_ports_are_closed_to_other_pods(
    installed: Release, asker: Asker, policies_hold: bool
) -> None:
    head = installed.pods("head")[0]["status"]["podIP"]
    worker = installed.pods("worker")[0]["status"]["podIP"]
    assert asker.reaches(worker, 8000), "where nothing is reached, a closed port proves nothing"
    assert not asker.reaches(head, 9), "the probe itself is broken"
    reached = [port for port in (6379, 8265, 10001) if asker.reaches(head, port)]
    if not policies_hold:
        pytest.skip(f"this cluster enforces no NetworkPolicy: {reached} answer")
    assert reached == []


def test_a_stranger_without_the_token_runs_nothing_though_no_policy_holds(
    installed: Release, asker: Asker
) -> None:
    installed.install("--set=networkPolicy.enabled=false")
    try:
        pods = installed.pods("head") + installed.pods("worker")
        (head, *workers) = pods
        wait_for("no policy", lambda: asker.reaches(head["status"]["podIP"], 6379), within_s=60)
        token = installed.in_ray(head, "printenv", "RAY_AUTH_TOKEN").strip()
        without = _pickles(installed, asker, pods, marker="/tmp/stranger", token=None)
        refused = [each for each in without if {each[method] for method in SERVE} == {REFUSED}]
        assert len(refused) >= 6, without  # the stages and the ingress
        for method in CORE:
            assert REFUSED in {each[method] for each in without}, without
            assert "OK" not in {each[method] for each in without}, without
        assert not any("stranger" in installed.in_ray(pod, "ls", "/tmp") for pod in pods)
        # It is the token that this hangs on.
        _pickles(installed, asker, workers, marker="/tmp/friend", token=token)
        assert any("friend" in installed.in_ray(pod, "ls", "/tmp") for pod in workers)
    finally:
        installed.install()


def _pickles(
    release: Release, asker: Asker, pods: list[Json], *, marker: str, token: str | None
) -> list[dict[str, str]]:
    """Send a pickle to every port of the pods; return what each port answered."""
    found: list[dict[str, str]] = []
    for pod in pods:
        ports = release.listening(pod)
        assert ports
        address = pod["status"]["podIP"]
        found += asker.pickles(address, ports, marker=marker, token=token).values()
    return found


def test_a_stage_under_load_gets_a_second_replica_and_gives_it_back(
    installed: Release, asker: Asker
) -> None:
    assert installed.running("captioner") == 1
    with asker.asking(installed.url, callers=12, retry_for_s=120) as load:
        wait_for("a second captioner", lambda: installed.running("captioner") == 2, within_s=240)
    assert load.unanswered == [], load.summary
    wait_for("one captioner again", lambda: installed.running("captioner") == 1, within_s=240)


def test_every_stage_gets_a_second_replica_in_the_cluster_that_runs(installed: Release) -> None:
    before = installed.cluster()
    installed.install("--values", str(TWO_OF_EACH))
    _wait_for_two_of_each(installed, captioner={})
    assert installed.cluster() == before


def test_an_upgrade_of_a_stage_happens_in_place_and_no_question_fails(
    installed: Release, asker: Asker
) -> None:
    before, pods = installed.cluster(), _names(installed)
    with asker.asking(installed.url, callers=2) as load:
        installed.install("--values", str(TWO_OF_EACH), "--set=stages.captioner.maxNewTokens=60")
        _wait_for_two_of_each(installed, captioner={"max_new_tokens": 60})
    assert len(load.asked) > 10
    assert load.unanswered == [], load.summary
    assert installed.cluster() == before
    assert _names(installed) == pods


def test_a_rollback_brings_the_former_stage_back(installed: Release, asker: Asker) -> None:
    before = installed.cluster()
    with asker.asking(installed.url, callers=1) as load:
        installed.helm("rollback", installed.name)
        _wait_for_two_of_each(installed, captioner={"max_new_tokens": None})
    assert len(load.asked) > 10
    assert load.unanswered == [], load.summary
    assert installed.cluster() == before


def test_a_worker_killed_under_load_loses_no_question_that_is_asked_again(
    installed: Release, asker: Asker
) -> None:
    pod = installed.pods("worker")[0]
    victim, address = pod["metadata"]["name"], pod["status"]["podIP"]

    def has_recovered() -> bool:
        stages = installed.app()["stages"].values()
        return installed.is_settled(replicas=2) and all(
            address not in stage["workers"] for stage in stages
        )

    with asker.asking(installed.url, callers=4, retry_for_s=120) as load:
        kubectl(
            *("--namespace", installed.namespace, "delete", "pod", victim),
            *("--force", "--grace-period=0"),
        )
        wait_for("two of each again", has_recovered, within_s=400)
    assert victim not in _names(installed)
    assert len(load.asked) > 10
    assert load.unanswered == [], load.summary


def test_uninstall_leaves_nothing_behind(installed: Release, things_before: set[str]) -> None:
    installed.helm("uninstall", installed.name, "--wait")
    wait_for(
        "an empty namespace",
        lambda: things(installed.namespace) <= things_before,
        within_s=300,
    )


def _load_test_pod(release: Release, role: str) -> tuple[str, str] | None:
    """Return name and address of a pod of the load test that runs."""
    selector = f"--selector=app.kubernetes.io/component=load-test-{role}"
    for pod in release.get("pods", selector)["items"]:
        if pod["status"].get("phase") == "Running":
            return pod["metadata"]["name"], pod["status"]["podIP"]
    return None


def _names(release: Release) -> set[str]:
    return {pod["metadata"]["name"] for kind in ("head", "worker") for pod in release.pods(kind)}


def _wait_for_two_of_each(release: Release, *, captioner: dict[str, Any]) -> None:
    wait_for(
        "two of each",
        lambda: release.is_settled(replicas=2, captioner=captioner),
        within_s=400,
    )
