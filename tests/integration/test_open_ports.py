"""What a stranger reaches of an app that `admirer serve` started, and what happens then."""

import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import httpx
import psutil
import pytest
from support.cluster.stranger import CORE, SERVE, answers
from support.started_app import StartedApp, started_app

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what it then opens is the test
LOOPBACK = "127.0.0.1"
REFUSED = "UNAUTHENTICATED"
STAGES = 6
"""Processes that answer, one of each stage and the ingress."""


@dataclass(frozen=True)
class Listener:
    """A socket that takes what others send."""

    kind: socket.SocketKind
    address: str
    port: int
    process: str
    program: str

    @property
    def is_on_loopback(self) -> bool:
        address = ip_address(self.address)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address.is_loopback


def listeners(app: StartedApp) -> list[Listener]:
    return [
        Listener(
            each.type, each.laddr.ip, each.laddr.port, " ".join(process.cmdline()), process.name()
        )
        for process in app.processes()
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN or each.type == socket.SOCK_DGRAM
    ]


@pytest.fixture(scope="module", params=[LOOPBACK, EVERYWHERE])
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def app(host: str, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedApp]:
    words = () if host == LOOPBACK else ("--host", host)
    with started_app(
        tmp_path_factory.mktemp("app"), *words, environment={"HOME": str(home)}
    ) as running:
        yield running


def outer_addresses() -> list[str]:
    """Return this machine's addresses that are no loopback."""
    return [
        each.address
        for of_interface in psutil.net_if_addrs().values()
        for each in of_interface
        if each.family in (socket.AF_INET, socket.AF_INET6)
        and not ip_address(each.address).is_loopback
        and not ip_address(each.address).is_link_local
    ]


def takes_bytes(address: str, listener: Listener) -> bool:
    """Send a stranger's bytes to a listener's port; return whether there was a connection."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, listener.kind) as client:
        client.settimeout(3)
        try:
            client.connect((address, listener.port))
            client.send(b"\x80\x04 a stranger's bytes \r\n\r\n")
        except OSError:
            return False
    return listener.kind == socket.SOCK_STREAM


def test_only_the_apps_own_port_is_bound_to_more_than_loopback(app: StartedApp, host: str) -> None:
    found = listeners(app)
    assert len(found) > STAGES
    outside = [each for each in found if not each.is_on_loopback]
    own = [each for each in outside if each.port == app.port]
    assert [each for each in outside if each not in own] == []
    assert bool(own) == (host == EVERYWHERE)


def test_only_the_apps_own_port_takes_bytes_from_elsewhere(app: StartedApp, host: str) -> None:
    addresses = outer_addresses()
    if not addresses:
        pytest.skip("this machine has no address but loopback")
    found = listeners(app)
    assert len(found) > STAGES
    # Other people's Rays may listen beside ours: one port of each is the same everywhere.
    ours = {each.pid for each in app.processes()}
    others = {
        each.laddr.port
        for each in psutil.net_connections("inet")
        if each.laddr and each.status == psutil.CONN_LISTEN and each.pid not in ours
    }
    took = {
        each.port
        for each in found
        if each.port not in others
        for address in addresses
        if takes_bytes(address, each)
    }
    assert took == ({app.port} if host == EVERYWHERE else set())
    assert httpx.get(f"{app.url}/health/ready", timeout=10, trust_env=False).is_success


def token_of(app: StartedApp) -> str:
    environments = [each.environ() for each in app.processes()]
    # Some processes of Ray write their names over what they were started with.
    (token,) = {each["RAY_AUTH_TOKEN"] for each in environments if "RAY_AUTH_TOKEN" in each}
    return token


def test_a_replica_loads_no_pickle_that_comes_without_the_token(
    app: StartedApp, tmp_path: Path
) -> None:
    ports = [each.port for each in listeners(app) if "ray::ServeReplica" in each.process]
    assert len(ports) >= 2 * STAGES  # Ray's own and Serve's
    without = [answers(LOOPBACK, port, str(tmp_path / f"{port}-0"), None) for port in ports]
    assert list(tmp_path.iterdir()) == []
    refused = [each for each in without if {each[method] for method in SERVE} == {REFUSED}]
    assert len(refused) >= STAGES, without
    # It is the token that this hangs on.
    for port in ports:
        answers(LOOPBACK, port, str(tmp_path / f"{port}-1"), token_of(app))
    assert len(list(tmp_path.iterdir())) == STAGES


@pytest.mark.parametrize(
    ("method", "server"), list(zip(CORE, ("gcs_server", "raylet"), strict=True))
)
def test_gcs_and_raylet_answer_nobody_without_the_token(
    app: StartedApp, tmp_path: Path, method: str, server: str
) -> None:
    ports = [each.port for each in listeners(app) if each.program == server]
    marker = str(tmp_path / "marker")
    without = {answers(LOOPBACK, port, marker, None)[method] for port in ports}
    assert REFUSED in without
    assert "OK" not in without
    assert "OK" in {answers(LOOPBACK, port, marker, token_of(app))[method] for port in ports}


def test_the_token_is_in_the_environment_of_the_apps_processes_alone(
    app: StartedApp, home: Path
) -> None:
    token = token_of(app)
    assert len(token) >= 32
    assert token not in os.environ.values()
    assert not any(token in word for each in psutil.process_iter() for word in words_of(each))
    assert not (home / ".ray").exists()
    files = [each for each in app.folder.rglob("*") if each.is_file() and each.stat().st_size]
    assert files
    assert [each for each in files if token.encode() in each.read_bytes()] == []


def words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_every_file_of_the_run_is_in_a_folder_that_nobody_else_enters(app: StartedApp) -> None:
    about = app.folder.stat()
    assert stat.S_IMODE(about.st_mode) == 0o700
    assert about.st_uid == os.getuid()
    sockets = {
        str(each.laddr)
        for process in app.processes()
        for each in process.net_connections("unix")
        if str(each.laddr).startswith("/")
    }
    assert any("admin" in each for each in sockets)
    assert [each for each in sockets if not Path(each).is_relative_to(app.folder)] == []
