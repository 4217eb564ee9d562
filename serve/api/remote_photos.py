"""Download photos by URL, protected against server-side request forgery (SSRF).

A host is resolved once, and the connection goes to the address that was checked: otherwise a name
could resolve to a public address for the check and to a private one for the connection (DNS
rebinding). Certificate and Host header still use the name.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from functools import cache

import httpx

from deployments.errors import BadImage, ImageTooLarge
from serve.settings import ImageUrlSettings

FIELD = "image_url"
MAX_REDIRECTS = 3
MAX_CHARACTERS = 2048

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Return whether the address is reachable from the public internet.

    IPv6 forms that embed an IPv4 address (mapped, 6to4, Teredo, NAT64) are never public: their
    target depends on the network.
    """
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or (isinstance(address, ipaddress.IPv6Address) and _is_translated(address))
    )


def _is_translated(address: ipaddress.IPv6Address) -> bool:
    return (
        address.ipv4_mapped is not None
        or address.sixtofour is not None
        or address.teredo is not None
        or address.is_site_local
    )


class RemotePhotos:
    """Downloads photos over http(s), with limits of bytes, seconds and redirects.

    Args:
        settings: Whether this is enabled, most bytes, and seconds for the whole download.
        is_allowed: Checks each resolved address.
    """

    def __init__(
        self, settings: ImageUrlSettings, is_allowed: Callable[[Address], bool] = is_public
    ) -> None:
        self._settings = settings
        self._is_allowed = is_allowed
        self._tls = (
            _tls() if settings.enabled else None
        )  # at start, so that no request waits for it

    async def fetch(self, address: str) -> bytes:
        """Return the bytes at `address`; their content is not checked.

        Raises:
            ImageTooLarge: More bytes than the settings allow.
            BadImage: Disabled, refused, unreachable, missing, or too slow.
        """
        if not self._settings.enabled:
            raise BadImage("Photos by URL are disabled here; send the photo.", field=FIELD)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._follow(address)
        except TimeoutError:
            message = f"The photo did not arrive within {self._settings.timeout_s:g} s."
            raise BadImage(message, field=FIELD) from None
        except (httpx.HTTPError, OSError):
            raise BadImage("The photo could not be fetched.", field=FIELD) from None

    async def _follow(self, address: str) -> bytes:
        url = _checked(address)
        for _hop in range(MAX_REDIRECTS + 1):
            ip = await self._resolve(url)
            found = await self._get(url, ip)
            if isinstance(found, bytes):
                return found
            url = _checked(str(_join(url, found)))
        raise BadImage(f"More than {MAX_REDIRECTS} redirects.", field=FIELD)

    async def _resolve(self, url: httpx.URL) -> Address:
        """Return an address of the host; if one of several is not allowed, all are refused."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(_host(url), _port(url), type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise BadImage("The host of the URL cannot be resolved.", field=FIELD) from None
        addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        if not addresses or not all(map(self._is_allowed, addresses)):
            raise BadImage("The URL leads to a network that is not public.", field=FIELD)
        # IPv4 first: it is what a cluster without IPv6 can reach.
        return min(addresses, key=lambda each: each.version)

    async def _get(self, url: httpx.URL, ip: Address) -> bytes | str:
        """Return the body, or the target of a redirect."""
        # One client per hop: connections are pooled by address, and a second host behind the
        # same address must not reuse the first one's. No proxy, cookies or netrc.
        async with (
            httpx.AsyncClient(
                verify=self._tls or True, trust_env=False, timeout=self._settings.timeout_s
            ) as client,
            client.stream(
                "GET",
                url.copy_with(host=str(ip)),
                headers={
                    "Host": url.netloc.decode("ascii"),
                    "Accept": "image/*",
                    # A compressed body could be small on the wire and huge here.
                    "Accept-Encoding": "identity",
                    "User-Agent": "admirer",
                },
                extensions={"sni_hostname": _host(url)},
            ) as response,
        ):
            if response.is_redirect:
                return response.headers["Location"]
            if response.status_code != httpx.codes.OK:
                message = f"The URL returned status {response.status_code}."
                raise BadImage(message, field=FIELD)
            return await self._bounded(response)

    async def _bounded(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > self._settings.max_bytes:
                message = f"The photo has more than {self._settings.max_bytes} bytes."
                raise ImageTooLarge(message, field=FIELD)
        return bytes(body)


@cache
def _tls() -> ssl.SSLContext:
    """Cached: reading the certificates takes tens of milliseconds."""
    return ssl.create_default_context()


def _checked(address: str) -> httpx.URL:
    """Return the parsed URL.

    Raises:
        BadImage: Not http(s), with a password, without a host, or too long.
    """
    try:
        url = httpx.URL(address) if len(address) <= MAX_CHARACTERS else httpx.URL()
    except (httpx.InvalidURL, UnicodeError):
        url = httpx.URL()
    has_port = url.port is None or 0 < url.port < 65536
    if url.scheme not in {"http", "https"} or not _host(url) or url.userinfo or not has_port:
        raise BadImage("The URL must be http or https, without a password.", field=FIELD)
    return url


def _host(url: httpx.URL) -> str:
    """Return the host as it is sent (IDNA); `url.host` would decode it, and may fail."""
    return url.raw_host.decode("ascii")


def _join(url: httpx.URL, location: str) -> httpx.URL:
    try:
        return url.join(location)
    except (httpx.InvalidURL, UnicodeError):
        raise BadImage("The URL redirects to an invalid one.", field=FIELD) from None


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
