"""A pod that asks questions, and what it found out."""

import json
import logging
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.cluster.commands import CommandError, kubectl, read, wait_for

LOG = logging.getLogger(__name__)

HERE, CHECKOUT = Path(__file__).parent, Path(__file__).parents[3]
SCRIPTS = {
    "pod_script.py": HERE / "pod_script.py",
    **{
        f"load_tests--client--{file.name}": file
        for file in sorted((CHECKOUT / "load_tests" / "client").glob("*.py"))
    },
}
"""What the pod has, by its path with -- for each slash, which no key of a ConfigMap may hold."""

LONGEST_S = 600
"""Of one load, whatever the test does meanwhile."""


@dataclass
class Load:
    """Questions that were asked while something else happened."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def unanswered(self) -> list[dict[str, Any]]:
        return [each for each in self.asked if each["statuses"][-1] != 200]

    @property
    def summary(self) -> str:
        """Return figures for a person: how many, how slow, what was retried."""
        attempts = Counter(status for each in self.asked for status in each["statuses"])
        slowest = max((each["seconds"] for each in self.asked), default=0)
        return (
            f"{len(self.asked)} questions, {len(self.unanswered)} unanswered, attempts by status"
            f" {dict(attempts)}, slowest {slowest:.1f} s"
        )


@dataclass(frozen=True)
class Asker:
    """The pod, in a namespace of its own: the release's policies must let callers in there."""

    namespace: str
    image: str

    def start(self) -> None:
        """Start the pod and wait until it runs."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        for manifest in (
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.namespace, "labels": labels},
            },
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "questions", "namespace": self.namespace},
                "data": {key: file.read_text() for key, file in SCRIPTS.items()},
            },
        ):
            kubectl("create", "--filename=-", stdin=json.dumps(manifest))
        self._start_pod("asker", "sleep", "infinity")

    def policies_hold(self) -> bool:
        """Return whether this cluster enforces network policies.

        Tried on a port of our own, which is open until a policy closes it: what the chart's
        policies do must not decide whether they are tested.
        """
        self._start_pod("closed", "python", "-m", "http.server", "8000")
        address = read("--namespace", self.namespace, "pod", "closed")["status"]["podIP"]
        wait_for("the port is open", lambda: self.reaches(address, 8000), within_s=60)
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "closed", "namespace": self.namespace},
            "spec": {
                "podSelector": {"matchLabels": {"app": "closed"}},
                "policyTypes": ["Ingress"],
            },
        }
        kubectl("create", "--filename=-", stdin=json.dumps(policy))
        try:
            wait_for("the port is closed", lambda: not self.reaches(address, 8000), within_s=60)
        except AssertionError:
            return False
        return True

    def _start_pod(self, name: str, *command: str) -> None:
        kubectl("create", "--filename=-", stdin=json.dumps(self._pod(name, command)))
        kubectl(
            *("--namespace", self.namespace, "wait", f"pod/{name}", "--for=condition=Ready"),
            "--timeout=120s",
            timeout_s=130,
        )

    def _pod(self, name: str, command: tuple[str, ...]) -> dict[str, Any]:
        items = [{"key": key, "path": key.replace("--", "/")} for key in SCRIPTS]
        container = {
            "name": name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "resources": {
                "requests": {"cpu": "10m", "memory": "64Mi"},
                "limits": {"memory": "256Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "script", "mountPath": "/script"}],
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
                "volumes": [{"name": "script", "configMap": {"name": "questions", "items": items}}],
            },
        }

    def ask(self, url: str, *, retry_for_s: float = 0) -> dict[str, Any]:
        """Return the result of one question."""
        with self.asking(url, callers=1, retry_for_s=retry_for_s) as load:
            pass
        return load.asked[0]

    @contextmanager
    def asking(self, url: str, *, callers: int, retry_for_s: float = 0) -> Iterator[Load]:
        """Ask while the block runs; every question begun is waited for, and then in the load."""
        command = ["kubectl", "--namespace", self.namespace, "exec", "--stdin", "asker", "--"]
        command += ["python", "/script/pod_script.py", url, str(LONGEST_S), str(callers)]
        load = Load()
        with subprocess.Popen(
            [*command, str(retry_for_s)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            time.sleep(2)  # so that questions are under way when the block begins
            try:
                yield load
                printed, _ = process.communicate(timeout=300)
                load.asked = json.loads(printed)
                LOG.info(load.summary)
            finally:
                process.kill()

    def pickles(
        self, host: str, ports: list[int], *, marker: str, token: str | None
    ) -> dict[int, dict[str, str]]:
        """Send a pickle to ports of Ray's; return what each method of each answered."""
        script = (Path(__file__).parent / "stranger.py").read_text()
        orders = {"host": host, "ports": ports, "marker": marker, "token": token}
        printed = kubectl(
            *("--namespace", self.namespace, "exec", "--stdin", "asker", "--"),
            *("python", "-c", script),
            stdin=json.dumps(orders),
            timeout_s=60 + 60 * len(ports),
        )
        return {int(port): found for port, found in json.loads(printed).items()}

    def reaches(self, host: str, port: int) -> bool:
        """Return whether the asker can connect."""
        return connects(self.namespace, "asker", host, port)


def connects(namespace: str, pod: str, host: str, port: int) -> bool:
    """Return whether a connection can be made from a pod that has Python."""
    words = f"import socket; socket.create_connection(({host!r}, {port}), 3)"
    try:
        kubectl("--namespace", namespace, "exec", pod, "--", "python", "-c", words)
    except CommandError as error:
        if "TimeoutError" in str(error) or "refused" in str(error):
            return False
        raise
    return True
