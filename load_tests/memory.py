"""Memory of the app that is asked, where it runs on this machine.

Whoever listens on the port is a small part of it: the stages are other processes, under Ray's.
"""

import contextlib
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import urlsplit

import psutil

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class AppMemory:
    """The processes of one app, or of none."""

    def __init__(self, root: psutil.Process | None) -> None:
        self._root = root

    @classmethod
    def of(cls, url: str, pid: int | None = None) -> "AppMemory":
        """Return the app of process `pid`, or that which listens at a loopback address."""
        with contextlib.suppress(psutil.Error):
            if pid is not None:
                return cls(psutil.Process(pid))
            address = urlsplit(url)
            listener = _listener(address.port) if address.hostname in _LOOPBACK else None
            if listener is not None:
                return cls(_root([listener, *listener.parents()]))
        return cls(None)

    def read(self) -> int | None:
        """Return the bytes of all its processes, shared pages counted once; None if unknown."""
        if self._root is None:
            return None
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in [self._root, *self._root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += process.memory_full_info().pss
        return total or None


def _listener(port: int | None) -> psutil.Process | None:
    for each in psutil.net_connections("tcp"):
        is_it = each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        if is_it and each.pid is not None:
            return psutil.Process(each.pid)
    return None


def _root(upwards: Sequence[psutil.Process]) -> psutil.Process:
    """Return the uppermost that belongs to the app: above it are shells and terminals."""
    ours = [process for process in upwards if _is_ours(process)]
    return ours[-1] if ours else upwards[0]


def _is_ours(process: psutil.Process) -> bool:
    command = process.cmdline()[:3]
    names = {PurePath(part).name for part in command}
    return bool(names & {"admirer", "raylet"}) or any(part.startswith("ray::") for part in command)
