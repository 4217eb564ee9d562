"""Environment variables that every Ray process of the app needs, by transport.

Ray Serve reads them on import: set them before Ray starts, on every node. HAProxy's metrics,
statistics and fallback have fixed ports by default, so that a second app on the machine could not
start, or would get the first one's requests; here each app gets its own.
"""

import secrets
import socket
from pathlib import Path
from typing import Literal

_REPLICAS = range(30_000, 31_001)
"""Ports from which the ingress replicas of every app on this machine choose."""

_given: set[int] = set()

Transport = Literal["default", "haproxy"]
"""Ray's Python proxy and actor calls, or HAProxy and gRPC between replicas."""


def environment(transport: Transport) -> dict[str, str]:
    """Return the variables for one app on this machine alone."""
    shared = {
        # Who reaches a port of Ray can run code there; the token limits that to these processes. It
        # is new for each run: by default Ray would keep one in the user's home directory.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Turn off telemetry of Ray and of model libraries.
        "RAY_USAGE_STATS_ENABLED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        # Ray's timeout of 5 s is too short on a busy machine.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        # Ray starts workers with nice 15, which would slow requests down.
        "RAY_worker_niceness": "0",
    }
    if transport == "default":
        return shared
    return shared | {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # Never without the line above: the Python proxy would then run on the head node only.
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # The throughput flag would write logs and output to files only; on a full disk, a replica
        # would then log that error in an endless loop.
        "RAY_SERVE_LOG_TO_STDERR": "1",
        # It would also buffer 1000 log lines, which a crash loses.
        "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
        # Drain period, until external load balancers have removed the replica.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        # Ray's template splices request bodies, and HAProxy 2.8 then no longer tells the app that
        # a client disconnected. No variable turns it off, so a second line is put into this one.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure\n    no option splice-request",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        # HAProxy's fallback while there is no replica; two apps would share the default port.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
    }


def free_port() -> int:
    """Return a free TCP port of this machine, never the same one twice.

    It is neither in the system's ephemeral range, from which an outgoing connection could take it,
    nor in the range of Ray Serve's replicas. It is random, so that two apps that start at the same
    time hardly ever choose the same one.
    """
    taken = {*_ephemeral_ports(), *_REPLICAS, *_given}
    candidates = [port for port in range(10_000, 65_536) if port not in taken]
    for _ in range(100):
        with socket.socket() as listener:
            try:
                # Any port if the ephemeral range covers all of them.
                listener.bind(("127.0.0.1", secrets.choice(candidates) if candidates else 0))
            except OSError:
                continue
            port: int = listener.getsockname()[1]
            _given.add(port)
            return port
    raise OSError("no port of this machine is free")


def _ephemeral_ports() -> range:
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
    return range(int(first), int(last) + 1)
