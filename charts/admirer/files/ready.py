"""`helm test`: wait until the RayService has the condition Ready, which `helm --wait` ignores.

Usage: ready.py NAMESPACE NAME SECONDS. Only the standard library, for any image has Python.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def main(namespace: str, name: str, seconds: str) -> int:
    """Return 0 once the service is ready, 1 if it is not in time."""
    deadline = time.monotonic() + float(seconds)
    shown = ""
    while True:
        try:
            is_ready, words = condition(service(namespace, name))
        except (OSError, ValueError) as error:
            is_ready, words = False, f"no word from the API server: {error}"
        if words != shown:
            say(words)
            shown = words
        if is_ready:
            return 0
        if time.monotonic() > deadline:
            say(f"not ready after {seconds} s")
            return 1
        time.sleep(2)


def service(namespace: str, name: str) -> dict:
    """Return the RayService as the API server has it."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    path = f"/apis/ray.io/v1/namespaces/{namespace}/rayservices/{name}"
    token = (ACCOUNT / "token").read_text().strip()
    request = urllib.request.Request(
        f"https://{host}:{port}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, context=trusted, timeout=10) as response:  # noqa: S310
        return json.load(response)


def condition(found: dict) -> tuple[bool, str]:
    """Return whether a RayService is ready, and why not."""
    for entry in found.get("status", {}).get("conditions", []):
        if entry["type"] == "Ready":
            words = f"Ready is {entry['status']}: {entry.get('message') or entry.get('reason')}"
            return entry["status"] == "True", words
    return False, "no condition Ready yet"


def say(words: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
