"""The cluster that KUBECONFIG names, and the release that the tests share.

Nothing here runs unless KUBECONFIG is set: whoever has a cluster in the usual place must not find
an app in it after `pytest`. ADMIRER_TEST_IMAGE names an image that its nodes have or can pull, and
ADMIRER_LOAD_TEST_IMAGE that of the load test.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator

import pytest
from support.cluster.commands import CommandError, kubectl, read, wait_for
from support.cluster.load import Asker
from support.cluster.release import Release

IMAGE = os.environ.get("ADMIRER_TEST_IMAGE", "admirer:dev")
LOAD_TEST_IMAGE = os.environ.get("ADMIRER_LOAD_TEST_IMAGE", "admirer-load-test:dev")
HOST = "admirer.test"

NEEDED = {
    "rayservices.ray.io": "the KubeRay operator is not installed (see k8s/README.md)",
}


@pytest.fixture(scope="session", autouse=True)
def _cluster() -> None:
    """Skip every test where there is no cluster to install into."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    for program in ("helm", "kubectl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on PATH")
    kinds = kubectl("get", "crd", "--output=name")
    for name, reason in NEEDED.items():
        if name not in kinds:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def ingress_class() -> str | None:
    """Return the class of a controller that runs here, or None."""
    classes = read("ingressclass")["items"]
    return str(classes[0]["metadata"]["name"]) if classes else None


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    """Make a namespace that refuses what the restricted Pod Security level refuses."""
    name = f"admirer-test-{uuid.uuid4().hex[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    labels["pod-security.kubernetes.io/warn"] = "restricted"
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }
    kubectl("create", "--filename=-", stdin=json.dumps(manifest))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def release(namespace: str, ingress_class: str | None) -> Release:
    """Describe the release; `installed` installs it."""
    settings = []
    for key, image in (("image", IMAGE), ("loadTest.image", LOAD_TEST_IMAGE)):
        repository, _, tag = image.rpartition(":")
        settings += [f"--set={key}.repository={repository}", f"--set-string={key}.tag={tag}"]
    # Two workers, so that one can be killed. From the start: KubeRay 1.6 does not hand changed
    # bounds of a worker group to a cluster that runs.
    settings += ["--set=ray.workerDefaults.minReplicas=2", "--set=ray.workerDefaults.maxReplicas=2"]
    if ingress_class:
        settings += ["--set=ingress.enabled=true", f"--set=ingress.className={ingress_class}"]
        settings += [f"--set=ingress.hosts[0].host={HOST}"]
    return Release("admirer-photos", namespace, tuple(settings))


@pytest.fixture(scope="session")
def things_before(release: Release) -> set[str]:
    """Return what is in the namespace before anything is installed."""
    wait_for(
        "the namespace's own objects",
        lambda: "serviceaccount/default" in things(release.namespace),
        within_s=30,
    )
    return things(release.namespace)


@pytest.fixture(scope="session")
def installed(release: Release, things_before: set[str]) -> Iterator[Release]:
    """Install the chart with its simulator values and wait until it answers."""
    del things_before  # taken first
    release.install()
    try:
        release.wait_until_ready(within_s=600)
        yield release
    finally:
        try:
            release.helm("uninstall", release.name, "--ignore-not-found")
        except CommandError as error:
            pytest.fail(f"the release is left behind: {error}")


@pytest.fixture(scope="session")
def asker(namespace: str) -> Iterator[Asker]:
    """Start the pod that asks."""
    pod = Asker(f"{namespace}-asker", IMAGE)
    try:
        pod.start()
        yield pod
    finally:
        kubectl("delete", "namespace", pod.namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def policies_hold(asker: Asker) -> bool:
    """Return whether this cluster enforces network policies."""
    return asker.policies_hold()


def things(namespace: str) -> set[str]:
    """Return `kind/name` of every object of a namespace but its events."""
    kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    kept = [kind for kind in kinds if not kind.startswith(("events", "pods.metrics"))]
    printed = kubectl("--namespace", namespace, "get", ",".join(kept), "--output=name")
    return set(printed.split())
