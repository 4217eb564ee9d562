import secrets
import socket

import pytest

from serve.cli import ray_environment
from serve.cli.ray_environment import environment, free_port


def test_a_free_port_is_none_that_the_system_gives_to_connections() -> None:
    ports = [free_port() for _ in range(200)]
    assert set(ports).isdisjoint(ray_environment._ephemeral_ports())
    assert len(set(ports)) == len(ports)


def test_a_port_that_is_taken_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        free = free_port()
        choices = iter([taken, taken, free])
        monkeypatch.setattr(secrets, "choice", lambda _: next(choices))
        assert free_port() == free


def test_a_free_port_is_found_where_the_system_gives_all_of_them_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_environment, "_ephemeral_ports", lambda: range(1024, 65_536))
    assert free_port() >= 1024


@pytest.mark.parametrize("transport", ["default", "haproxy"])
def test_each_run_has_a_token_of_its_own(transport: ray_environment.Transport) -> None:
    one, other = environment(transport), environment(transport)
    assert one["RAY_AUTH_MODE"] == "token"
    assert len(one["RAY_AUTH_TOKEN"]) == 64
    assert one["RAY_AUTH_TOKEN"] != other["RAY_AUTH_TOKEN"]
