"""Check that the app can be reached, before the load test starts."""

import logging
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

TIMEOUT_S = 10
LOOK_EVERY_S = 1.0

logger = logging.getLogger(__name__)


def why_not_in_time(url: str | None, *, within_s: float, may_degrade: bool = False) -> str | None:
    """Wait until the app at `url` can be asked and return None, or the reason after `within_s`."""
    until, last = time.monotonic() + within_s, ""
    while fault := why_unreachable(url, may_degrade=may_degrade):
        if time.monotonic() >= until:
            return fault
        if fault != last:
            logger.info("Waiting: %s", fault)
            last = fault
        time.sleep(LOOK_EVERY_S)
    return None


def why_unreachable(url: str | None, *, may_degrade: bool = False) -> str | None:
    """Return in one sentence why the app at `url` cannot be asked; None if it can.

    It must be ready with all its stages, unless it may degrade: then it need only live.
    """
    if not url:
        return "No server is named: give its address with --host http://127.0.0.1:8000."
    health = f"{url.rstrip('/')}/health/{'live' if may_degrade else 'ready'}"
    try:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            return f"{url} is not the address of a server (http://host:port)."
        with urllib.request.urlopen(health, timeout=TIMEOUT_S):  # noqa: S310 - the scheme is known
            return None
    except urllib.error.HTTPError as error:
        return f"The server at {url} is not ready: {error.code} {error.reason}."
    except OSError as error:
        reason = getattr(error, "reason", error)
        return f"The server at {url} cannot be reached: {reason}."
    except ValueError as error:
        return f"{url} is not the address of a server: {error}."
