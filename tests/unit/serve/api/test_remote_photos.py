import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from deployments.errors import BadImage, ImageTooLarge
from serve.api.remote_photos import Address, RemotePhotos, is_public
from serve.settings import ImageUrlSettings

SETTINGS = ImageUrlSettings(enabled=True, max_bytes=1000, timeout_s=2)


def anyone(address: Address) -> bool:
    del address
    return True


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "2001:db8::1",
        "2002:7f00:1::", "2001::1", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


class Server:
    """A tiny HTTP server that answers each path with what a test says."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]] = {}
        self.heads: list[str] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        answer = self.answers[head.split()[1]]
        try:
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def to(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    listening = await asyncio.start_server(running.handle, "127.0.0.1", 0)
    running.port = listening.sockets[0].getsockname()[1]
    yield running
    listening.close()


def resolving(monkeypatch: pytest.MonkeyPatch, hosts: dict[str, list[str]]) -> list[str]:
    """Make names resolve as given; returns the list of names that were looked up."""
    asked: list[str] = []

    async def getaddrinfo(_: Any, host: str, port: int, **__: Any) -> list[Any]:
        asked.append(host)
        if host not in hosts:
            raise socket.gaierror
        return [(0, 0, 0, "", (address, port)) for address in hosts[host]]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


async def test_it_is_off_by_default() -> None:
    with pytest.raises(BadImage, match="disabled") as caught:
        await RemotePhotos(ImageUrlSettings()).fetch("http://8.8.8.8/a.jpg")
    assert caught.value.field == "image_url"


async def test_the_bytes_come_from_the_address_that_was_checked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, {"photos.test": ["127.0.0.1"], "127.0.0.1": ["127.0.0.1"]})
    server.answers["/a.jpg"] = ok(b"photo")
    fetched = await RemotePhotos(SETTINGS, anyone).fetch(f"http://photos.test:{server.port}/a.jpg")
    assert fetched == b"photo"
    # Looked up once; what follows is a connection to an address, which needs no look-up.
    assert asked.count("photos.test") == 1
    assert f"Host: photos.test:{server.port}\r\n" in server.heads[0]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://8.8.8.8/a", "file:///etc/passwd", "gopher://8.8.8.8", "data:image/png;base64,AA",
        "/etc/passwd", "//8.8.8.8/a", "http://", "http:///a", "http://user:pw@8.8.8.8/", "", "a",
        "http://[::1", "http://8.8.8.8:99999/", "http://8.8.8.8:port/", "http://" + "a" * 3000,
        "http://\x00/", "http://a b/", "http://\ud800.test/", "http://xn--/",
    ],
)  # fmt: skip
async def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(BadImage) as caught:
        await RemotePhotos(SETTINGS).fetch(url)
    assert caught.value.field == "image_url"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
async def test_every_way_to_write_loopback_is_refused(server: Server, host: str) -> None:
    server.answers["/"] = ok(b"secret")
    with pytest.raises(BadImage, match=r"not (public|known)"):
        await RemotePhotos(SETTINGS).fetch(f"http://{host}:{server.port}/")
    assert server.heads == []


async def test_one_private_address_among_several_refuses_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving(monkeypatch, {"mixed.test": ["8.8.8.8", "10.0.0.1"]})
    with pytest.raises(BadImage, match="not public"):
        await RemotePhotos(SETTINGS).fetch("http://mixed.test/")


async def test_a_redirect_into_a_private_network_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(
        monkeypatch,
        {"a.test": ["127.0.0.1"], "inside.test": ["127.0.0.2"], "127.0.0.1": ["127.0.0.1"]},
    )
    server.answers["/"] = to("http://inside.test/")
    remote = RemotePhotos(SETTINGS, lambda address: str(address) == "127.0.0.1")
    with pytest.raises(BadImage, match="not public"):
        await remote.fetch(f"http://a.test:{server.port}/")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[", "ftp://8.8.8.8/"])
async def test_a_redirect_to_another_scheme_is_refused(server: Server, location: str) -> None:
    server.answers["/"] = to(location)
    with pytest.raises(BadImage):
        await RemotePhotos(SETTINGS, anyone).fetch(f"http://127.0.0.1:{server.port}/")


async def test_redirects_are_followed_and_counted(server: Server) -> None:
    server.answers = {"/0": to("/1"), "/1": to("/2"), "/2": ok(b"photo"), "/loop": to("/loop")}
    remote = RemotePhotos(SETTINGS, anyone)
    assert await remote.fetch(f"http://127.0.0.1:{server.port}/0") == b"photo"
    with pytest.raises(BadImage, match="redirects"):
        await remote.fetch(f"http://127.0.0.1:{server.port}/loop")


async def test_an_endless_body_is_cut_off(server: Server) -> None:
    written = 0

    async def pour(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            written += 10_000
            await writer.drain()

    server.answers["/"] = pour
    with pytest.raises(ImageTooLarge):
        await RemotePhotos(SETTINGS, anyone).fetch(f"http://127.0.0.1:{server.port}/")
    assert written < 100_000_000


async def test_a_trickle_is_given_up_after_the_time_for_the_whole(server: Server) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.answers["/"] = trickle
    settings = SETTINGS.model_copy(update={"timeout_s": 0.3})
    with pytest.raises(BadImage, match=r"0\.3 s"):
        await RemotePhotos(settings, anyone).fetch(f"http://127.0.0.1:{server.port}/")


async def test_a_status_other_than_200_and_a_dead_port_are_bad_images(server: Server) -> None:
    server.answers["/"] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    remote = RemotePhotos(SETTINGS, anyone)
    with pytest.raises(BadImage, match="404"):
        await remote.fetch(f"http://127.0.0.1:{server.port}/")
    with pytest.raises(BadImage, match="could not be fetched"):
        await remote.fetch("http://127.0.0.1:1/")


async def test_proxies_of_the_environment_are_ignored(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.answers["/"] = ok(b"photo")
    remote = RemotePhotos(SETTINGS, anyone)
    assert await remote.fetch(f"http://127.0.0.1:{server.port}/") == b"photo"
