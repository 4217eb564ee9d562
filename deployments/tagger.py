"""The tagger stage: one photo to labelled boxes.

Tags are ordered left to right: the prompt lists them so, and from that order alone the language
model knows positions.
"""

from collections.abc import Callable, Sequence

import numpy as np

from deployments.batching import Batcher, metered_batcher
from deployments.calls import received
from deployments.health import ModelHealth
from deployments.messages import Call, Photo, Tag
from deployments.photo_cache import PhotoCache
from deployments.photo_decoding import decoded
from deployments.settings import TaggerSettings
from deployments.telemetry.metrics import NO_METERS, Meters
from deployments.telemetry.traces import NO_TRACER, Tracer
from deployments.thread_priority import load_in_model_thread
from models.bundle import Bundle
from models.pixels import Rgb
from models.tagging import TagModel, load

LoadTagger = Callable[[str, TaggerSettings], TagModel]
"""Takes the path of the bundle and the stage's settings."""


def load_tagger(bundle: str, settings: TaggerSettings) -> TagModel:
    """Return the bundle's tag model.

    Raises:
        BundleError: The bundle or its tagger is not on this machine.
    """
    found = Bundle.load(bundle)
    return load(
        found.folder(found.tagger),
        settings.engine,
        score_threshold=settings.score_threshold,
        max_tags=settings.max_tags,
    )


class Tagger:
    """Tags photos, several at a time."""

    def __init__(
        self,
        settings: TaggerSettings,
        bundle: str,
        load: LoadTagger = load_tagger,
        meters: Meters = NO_METERS,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._tracer = tracer
        self._model = load_in_model_thread(settings.batch.niceness, load, bundle, settings)
        self._health = ModelHealth()
        self._batcher: Batcher[Rgb, tuple[Tag, ...]] = metered_batcher(
            self._health.watch(self._tag), settings.batch, meters
        )
        self._cache: PhotoCache[tuple[Tag, ...]] = PhotoCache(settings.cache_photos, meters)
        self._model.tag([np.zeros((48, 64, 3), np.uint8)])

    async def tag(self, photo: Photo, call: Call) -> tuple[Tag, ...]:
        """Return the photo's tags, left to right.

        Raises:
            BadImage: The bytes are not a JPEG.
            Overloaded: The queue is full.
            DeadlineExceeded: The call's time has passed.
        """

        async def tag() -> tuple[Tag, ...]:
            return await self._batcher.submit(await decoded(photo), call.timeout_s)

        async with received("tagger", call, self._tracer):
            return await self._cache.get(photo, tag)

    async def check_health(self) -> None:
        """Return while the model can run; Ray replaces the replica when this raises."""
        self._health.check()

    def _tag(self, photos: Sequence[Rgb]) -> list[tuple[Tag, ...]]:
        return self._model.tag(photos)
