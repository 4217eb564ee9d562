"""Processor time of a local app by stage, where the app runs on this machine.

The proxy listens on the app's port, and everything of one Ray descends from the process that
started its raylet: so an app's processes are told from another Ray's beside it.
"""

import os
import re
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

import psutil

_REPLICA = re.compile(r"^ray::ServeReplica:[^:]+:(\w+)")
INGRESS, PLANE = "ingress", "plane"


class LocalApp:
    """The processes behind an address of this machine."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root

    @classmethod
    def behind(cls, url: str) -> "LocalApp | None":
        """Return the app at a loopback address; None where it is elsewhere or not to be seen."""
        parts = urlsplit(url)
        if parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
            return None
        with suppress(psutil.Error, OSError):
            for each in psutil.net_connections("tcp"):
                if each.status != psutil.CONN_LISTEN or not each.laddr or not each.pid:
                    continue
                if each.laddr[1] == parts.port and (root := _root(psutil.Process(each.pid))):
                    return cls(root)
        return None

    def cpu_s(self) -> Counter[str]:
        """Return processor seconds so far by stage; `plane` is Ray, the proxy and this client."""
        spent: Counter[str] = Counter()
        for process in [self._root, *self._root.children(recursive=True)]:
            with suppress(psutil.Error):
                times = process.cpu_times()
                spent[_part(process)] += times.user + times.system  # type: ignore[assignment]
        own = psutil.Process(os.getpid()).cpu_times()
        spent[PLANE] += own.user + own.system  # type: ignore[assignment]
        return spent

    def replicas(self) -> Counter[str]:
        """Return how many replicas each stage and the ingress have."""
        parts = [_part(each) for each in self._root.children(recursive=True)]
        return Counter(part for part in parts if part != PLANE)


def busy_core_s() -> float:
    """Return the seconds that the machine's cores were not idle, what was stolen included."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _root(listener: psutil.Process) -> psutil.Process | None:
    for process in [listener, *listener.parents()]:
        with suppress(psutil.Error):
            if process.cmdline()[:1] and process.cmdline()[0].endswith("/raylet"):
                return process.parent()
    return None


def _part(process: psutil.Process) -> str:
    with suppress(psutil.Error, IndexError):
        found = _REPLICA.match(process.cmdline()[0])
        if found:
            return found.group(1)
    return PLANE
