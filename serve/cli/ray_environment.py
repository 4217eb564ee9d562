"""The environment that every Ray process of the app needs, by transport.

Ray Serve reads these variables when it is imported: set them before Ray starts, on every
node. HAProxy's metrics, statistics and fallback have fixed ports by default, so that a second
app on the machine could not start, or each would answer for the other; here each gets its own.
"""

import secrets
import socket
from pathlib import Path
from typing import Literal

_REPLICAS = range(30_000, 31_001)
"""Where the ingress's replicas of every app on this machine look for a port."""

_given: set[int] = set()

Transport = Literal["default", "haproxy"]
"""Ray's Python proxy and actor calls, or HAProxy and gRPC between replicas."""


def environment(transport: Transport) -> dict[str, str]:
    """Return the variables for one app on this machine alone."""
    shared = {
        # Whoever reaches a port of Ray's runs code there: only these processes may. A token of
        # this run, since Ray would otherwise write one into the user's home directory.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Neither Ray nor what loads the models reports its use to its makers.
        "RAY_USAGE_STATS_ENABLED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        # On a busy machine Ray's five seconds would end the proxy before it has started.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        # Ray's workers yield to everything else on the machine by default, and they answer.
        "RAY_worker_niceness": "0",
    }
    if transport == "default":
        return shared
    return shared | {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # Never without the line above: the Python proxy would then run on the head node only.
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # The throughput flag would send everything that is logged or printed to files alone; with
        # no room for them, a replica would then complain of that to itself for ever.
        "RAY_SERVE_LOG_TO_STDERR": "1",
        # It would also hold a thousand lines back, and lose them with the process.
        "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
        # A stopped replica waits this long for a load balancer outside to take note.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        # Ray's template splices request bodies, and HAProxy 2.8 then no longer tells the app that
        # a client has hung up. No variable turns it off; this one's text is put after it.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure\n    no option splice-request",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        # Where HAProxy turns while no replica is known. Those of two apps would share a port.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
    }


def free_port() -> int:
    """Return a port of this machine that nobody listens on now, and never the same one twice.

    Not of those that the system gives to outgoing connections, which might take it before whoever
    it is for does, nor of those that Ray Serve's replicas choose from. Chosen at random, so that
    two apps that start at once hardly ever meet.
    """
    taken = {*_ephemeral_ports(), *_REPLICAS, *_given}
    candidates = [port for port in range(10_000, 65_536) if port not in taken]
    for _ in range(100):
        with socket.socket() as listener:
            try:
                # Where the system gives away all of them, any must do.
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
