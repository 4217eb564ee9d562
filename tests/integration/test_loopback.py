import re

import pytest
from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE

from serve.cli.loopback import narrowed


def test_of_haproxys_servers_only_the_apps_own_listens_on_its_host() -> None:
    lines = re.findall(r"^ *bind (.*)$", narrowed(HAPROXY_CONFIG_TEMPLATE, "192.0.2.1"), re.M)
    assert len(lines) >= 3
    own = [line for line in lines if not line.startswith("127.0.0.1:")]
    assert own == ["192.0.2.1:{{ config.frontend_port }}"]


def test_haproxys_admin_socket_is_for_its_owner_alone() -> None:
    lines = [
        line for line in narrowed(HAPROXY_CONFIG_TEMPLATE, "::").splitlines() if "mode " in line
    ]
    sockets = [line for line in lines if "stats socket" in line]
    assert sockets
    assert all(" mode 600 " in line for line in sockets)


@pytest.mark.parametrize("missing", ["frontend_port", "stats socket"])
def test_a_template_that_ray_has_changed_is_refused(missing: str) -> None:
    with pytest.raises(ValueError, match="no "):
        narrowed(HAPROXY_CONFIG_TEMPLATE.replace(missing, "another"), "127.0.0.1")
