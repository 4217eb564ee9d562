"""One installed release of the chart, and what the cluster says about it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.cluster.commands import kubectl, read, run, wait_for

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "admirer"
SIMULATOR = CHART / "ci" / "simulator-values.yaml"
TWO_OF_EACH = Path(__file__).parent / "two_of_each.yaml"

Json = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """A name, where it is, and what every command of helm is told."""

    name: str
    namespace: str
    settings: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where a pod of any namespace finds the Service."""
        return f"http://{self.name}-serve-svc.{self.namespace}.svc:8000"

    def helm(self, verb: str, *words: str, timeout_s: float = 300) -> str:
        return run("helm", "--namespace", self.namespace, verb, *words, timeout_s=timeout_s)

    def rendered(self, *words: str) -> str:
        """Return what would be installed, as this very cluster makes helm render it.

        Without the pods of `helm test`: alone, they would lack their service account.
        """
        return self.helm(
            *("template", self.name, str(CHART), "--validate", "--values", str(SIMULATOR)),
            *("--no-hooks", *self.settings, *words),
        )

    def install(self, *words: str) -> None:
        """Install, or upgrade what is installed."""
        self.helm(
            *("upgrade", "--install", self.name, str(CHART), "--values", str(SIMULATOR)),
            *(*self.settings, *words),
        )

    def get(self, *words: str) -> Json:
        return read("--namespace", self.namespace, *words)

    def service(self) -> Json:
        """Return the RayService."""
        return self.get("rayservice", self.name)

    def condition(self, kind: str) -> str:
        """Return True, False or Unknown."""
        for each in self.service().get("status", {}).get("conditions", []):
            if each["type"] == kind:
                return str(each["status"])
        return "Unknown"

    def wait_until_ready(self, *, within_s: float) -> None:
        wait_for(
            "RayService is Ready",
            lambda: self.condition("Ready") == "True",
            within_s=within_s,
        )

    def cluster(self) -> str:
        """Return the name of the Ray cluster that answers."""
        return str(self.service()["status"]["activeServiceStatus"]["rayClusterName"])

    def pods(self, kind: str) -> list[Json]:
        """Return Ray's pods that are not ending: `head` or `worker`."""
        found = self.get("pods", "--selector", f"ray.io/node-type={kind}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def app(self) -> Json:
        """Return what Ray Serve says of the app: its status, its arguments, its stages."""
        head = self.pods("head")[0]["metadata"]["name"]
        printed = kubectl(
            *("--namespace", self.namespace, "exec", head, "--container=ray-head", "--"),
            *("python", "-c", _STATUS),
            timeout_s=60,
        )
        app: Json = json.loads(printed)
        return app

    def in_ray(self, pod: Json, *words: str) -> str:
        """Return what a command prints in Ray's container of a pod."""
        (container, *_) = pod["spec"]["containers"]
        return kubectl(
            *("--namespace", self.namespace, "exec", pod["metadata"]["name"]),
            *(f"--container={container['name']}", "--", *words),
        )

    def listening(self, pod: Json) -> list[int]:
        """Return the ports of Ray's container that other pods may reach."""
        return list(json.loads(self.in_ray(pod, "python", "-c", _LISTENING)))

    def running(self, stage: str) -> int:
        """Return how many replicas of a stage run."""
        return int(self.app()["stages"][stage]["replicas"].get("RUNNING", 0))

    def is_settled(self, *, replicas: int, captioner: Json | None = None) -> bool:
        """Return whether the app runs with these settings, so many replicas and none in between."""
        app = self.app()
        has = app["arguments"]["captioner"]
        return (
            app["status"] == "RUNNING"
            and all(has.get(key) == value for key, value in (captioner or {}).items())
            and all(
                stage["status"] == "HEALTHY" and stage["replicas"] == {"RUNNING": replicas}
                for stage in app["stages"].values()
            )
        )


_LISTENING = """
import json, psutil
found = psutil.net_connections("tcp")
listening = [each.laddr for each in found if each.status == psutil.CONN_LISTEN]
print(json.dumps(sorted({each.port for each in listening if not each.ip.startswith("127.")})))
"""

_STATUS = """
import collections, json, os, urllib.request
request = urllib.request.Request("http://127.0.0.1:8265/api/serve/applications/")
token = os.environ.get("RAY_AUTH_TOKEN")
if token:
    request.add_header("Authorization", f"Bearer {token}")
with urllib.request.urlopen(request, timeout=20) as response:
    app = json.load(response)["applications"]["admirer"]
stages = {
    name: {
        "status": stage["status"],
        "replicas": collections.Counter(each["state"] for each in stage["replicas"]),
        "workers": sorted({each.get("node_ip") or "" for each in stage["replicas"]}),
    }
    for name, stage in app["deployments"].items()
}
arguments = app["deployed_app_config"]["args"]
print(json.dumps({"status": app["status"], "arguments": arguments, "stages": stages}))
"""
"""Runs in the head's container, which has the token and, by policy, the only way in."""
