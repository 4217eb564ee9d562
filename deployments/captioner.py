"""The captioner stage: one photo to one sentence.

A failed load or warm-up fails the constructor, so that no replica is ever half ready.
"""

from collections.abc import Callable, Sequence

import numpy as np

from deployments.batching import Batcher, metered_batcher
from deployments.calls import received
from deployments.health import ModelHealth
from deployments.messages import Call, Photo
from deployments.photo_cache import PhotoCache
from deployments.photo_decoding import decoded
from deployments.settings import CaptionerSettings
from deployments.telemetry.metrics import NO_METERS, Meters
from deployments.telemetry.traces import NO_TRACER, Tracer
from deployments.thread_priority import load_in_model_thread
from models.bundle import Bundle
from models.captioning import CaptionModel, load
from models.pixels import Rgb

LoadCaptioner = Callable[[str, CaptionerSettings], CaptionModel]
"""Takes the path of the bundle and the stage's settings."""


def load_captioner(bundle: str, settings: CaptionerSettings) -> CaptionModel:
    """Return the bundle's caption model.

    Raises:
        BundleError: The bundle or its captioner is not on this machine.
    """
    found = Bundle.load(bundle)
    return load(
        found.folder(found.captioner),
        settings.engine,
        num_beams=settings.num_beams,
        max_new_tokens=settings.max_new_tokens,
    )


class Captioner:
    """Captions photos, several at a time."""

    def __init__(
        self,
        settings: CaptionerSettings,
        bundle: str,
        load: LoadCaptioner = load_captioner,
        meters: Meters = NO_METERS,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._tracer = tracer
        self._model = load_in_model_thread(settings.batch.niceness, load, bundle, settings)
        self._health = ModelHealth()
        self._batcher: Batcher[Rgb, str] = metered_batcher(
            self._health.watch(self._caption), settings.batch, meters
        )
        self._cache: PhotoCache[str] = PhotoCache(settings.cache_photos, meters)
        self._model.caption([np.zeros((48, 64, 3), np.uint8)])

    async def caption(self, photo: Photo, call: Call) -> str:
        """Return the caption, one sentence.

        Raises:
            BadImage: The bytes are not a JPEG.
            Overloaded: The queue is full.
            DeadlineExceeded: The call's time has passed.
        """

        async def caption() -> str:
            return await self._batcher.submit(await decoded(photo), call.timeout_s)

        async with received("captioner", call, self._tracer):
            return await self._cache.get(photo, caption)

    async def check_health(self) -> None:
        """Return while the model can run; Ray replaces the replica when this raises."""
        self._health.check()

    def _caption(self, photos: Sequence[Rgb]) -> list[str]:
        return self._model.caption(photos)
