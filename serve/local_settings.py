"""Settings of an app on this machine, outside a cluster."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve.settings import AppSettings

CHECKOUT = Path(__file__).parents[1]


def settings_of(arguments: Mapping[str, Any], bundle: str | None) -> AppSettings:
    """Return the app's settings, with the bundle as an absolute path.

    A relative path counts from the working folder or, where nothing is there, from the
    checkout, so that the demo bundle is found from anywhere.

    Args:
        arguments: Those of a Serve config file; the environment overrides them.
        bundle: Overrides both.

    Raises:
        ValueError: A setting does not exist or is out of bounds.
    """
    settings = AppSettings(**arguments)
    place = Path(bundle or settings.bundle)
    if not place.exists() and (CHECKOUT / place).exists():
        place = CHECKOUT / place
    return settings.model_copy(update={"bundle": str(place.absolute())})
