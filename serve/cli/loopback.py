"""Keeps every port of a local Ray on the loopback address, except the app's own.

Ray binds replicas' gRPC servers, and HAProxy's statistics and metrics, to all addresses of the
machine and has no setting for it. On a cluster this is not used: pods must reach one another.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import psutil

LOOPBACK = "127.0.0.1"
HOST = "ADMIRER_LISTENS_ON"
"""Variable that tells workers where HAProxy listens for the app's own callers."""


def haproxy_files(folder: Path) -> dict[str, str]:
    """Return the variables that put all files of HAProxy into `folder`.

    Their names are short: Ray adds a name of 56 characters to the path, and HAProxy takes 97.
    """
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "lines"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        # A socket without a listener. The default is UDP, for which HAProxy opens ports.
        "RAY_SERVE_HAPROXY_LOG_TARGET": str(folder / "log"),
    }


def worker_variables(host: str) -> dict[str, str]:
    """Return the variables of a setup hook of Ray's workers, which keeps their servers on loopback.

    `worker_process_setup_hook` of a `runtime_env`, which is Ray's public way, sets this very
    variable; workers then start a second later, since none that waits can be used.

    Args:
        host: Address on which HAProxy serves the app.
    """
    from ray._private.ray_constants import WORKER_PROCESS_SETUP_HOOK_ENV_VAR

    # By way of that module, or `serve` could be somebody else's.
    return {WORKER_PROCESS_SETUP_HOOK_ENV_VAR: "admirer_packages.prepare_worker", HOST: host}


def narrow_serve(host: str) -> None:
    """Make Ray Serve in this process bind to loopback instead of every address.

    Raises:
        AttributeError: This version of Ray Serve binds in another way.
        ValueError: Its template of HAProxy's configuration is another one.
    """
    from ray.serve._private import haproxy_templates
    from ray.serve._private import replica as untyped

    replica: Any = untyped
    bind = replica.add_port_to_grpc_server

    def bind_to_loopback(server: object, address: str) -> int:
        port: int = bind(server, f"{LOOPBACK}:{address.rpartition(':')[2]}")
        return port

    replica.add_port_to_grpc_server = bind_to_loopback
    haproxy_templates.HAPROXY_CONFIG_TEMPLATE = narrowed(
        haproxy_templates.HAPROXY_CONFIG_TEMPLATE, host
    )


def narrowed(template: str, host: str) -> str:
    """Return HAProxy's configuration with the app on `host` and all else on loopback.

    Only the owner may open its admin socket.

    Raises:
        ValueError: The line of the app or of the socket is missing.
    """
    app = r":\{\{ config\.frontend_port \}\}"
    changes = [
        (r"^( *bind ).*?(:\{\{ config\.\w+_port \}\})", rf"\g<1>{LOOPBACK}\2"),
        (rf"^( *bind ){LOOPBACK}({app})$", rf"\g<1>{host}\2"),
        (r"^( *stats socket .* mode )666 ", r"\g<1>600 "),
    ]
    for pattern, replacement in changes:
        template, found = re.subn(pattern, replacement, template, flags=re.MULTILINE)
        if not found:
            raise ValueError(f"Ray's template of HAProxy's configuration has no {pattern}")
    return template


def open_ports() -> Iterator[tuple[int, str]]:
    """Yield port and process name of each listener of this process tree that is not on loopback.

    UDP sockets included.
    """
    this = psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            for each in process.net_connections("inet"):
                listens = each.status == psutil.CONN_LISTEN or each.type == socket.SOCK_DGRAM
                if listens and not _is_loopback(each.laddr.ip):
                    yield each.laddr.port, process.name()


def _is_loopback(text: str) -> bool:
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
