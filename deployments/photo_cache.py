"""LRU cache of a stage's results by photo.

Caption and tags of a photo are then computed once for several questions about it. Each replica has
a cache of its own.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Generic, TypeVar

from deployments.messages import Photo
from deployments.telemetry.metrics import CACHE_LOOKUPS, Meters
from deployments.telemetry.traces import current

Value = TypeVar("Value")


class PhotoCache(Generic[Value]):
    """Keeps the results of the `max_photos` most recently used photos; 0 turns it off."""

    def __init__(self, max_photos: int, meters: Meters) -> None:
        self._max_photos, self._meters = max_photos, meters
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    async def get(self, photo: Photo, make: Callable[[], Awaitable[Value]]) -> Value:
        """Return the photo's result from the cache or from `make`; errors are not cached."""
        if not self._max_photos:
            return await make()
        key = sha256(photo).digest()
        is_known = key in self._values
        current().set({"admirer.cache.hit": is_known})
        self._meters.record(CACHE_LOOKUPS, labels={"outcome": "hit" if is_known else "miss"})
        if is_known:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._values[key] = await make()
        while len(self._values) > self._max_photos:
            self._values.popitem(last=False)
        return value
