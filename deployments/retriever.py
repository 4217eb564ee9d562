"""The retriever stage: a photo and a question to the most similar solved examples.

Photos and texts share one queue, so that those of a request run in one batch, once per tower.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from bank.fingerprints import fingerprint
from bank.index import ExampleBank, Vector
from bank.release import load_bank
from deployments.batching import Batcher, metered_batcher
from deployments.calls import received
from deployments.errors import BadQuestion
from deployments.health import ModelHealth
from deployments.messages import Call, Embeddings, Example, Photo
from deployments.photo_decoding import decoded
from deployments.settings import RetrieverSettings
from deployments.telemetry.metrics import BANK_EXAMPLES, BEST_SIMILARITY, NO_METERS, Meters
from deployments.telemetry.traces import NO_TRACER, Tracer, current
from deployments.thread_priority import load_in_model_thread
from models.bundle import Bundle
from models.clip import ClipModel, load
from models.pixels import Rgb


@dataclass(frozen=True)
class Retrieval:
    """The embedding model and the example bank, which may be empty."""

    model: ClipModel
    bank: ExampleBank


LoadRetriever = Callable[[str, RetrieverSettings], Retrieval]
"""Takes the path of the bundle and the stage's settings."""


def load_retriever(bundle: str, settings: RetrieverSettings) -> Retrieval:
    """Return the bundle's CLIP and example bank.

    Raises:
        BundleError: The bundle, its CLIP or its bank is not on this machine.
        BankError: The bank is damaged, or its vectors are of another CLIP.
    """
    found = Bundle.load(bundle)
    return Retrieval(model=load(found.folder(found.clip), settings.engine), bank=load_bank(found))


class Retriever:
    """Embeds photos and texts, and searches the example bank with them."""

    def __init__(
        self,
        settings: RetrieverSettings,
        bundle: str,
        load: LoadRetriever = load_retriever,
        meters: Meters = NO_METERS,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._settings, self._meters, self._tracer = settings, meters, tracer
        loaded = load_in_model_thread(settings.batch.niceness, load, bundle, settings)
        self._model, self._bank = loaded.model, loaded.bank
        self._health = ModelHealth()
        self._batcher: Batcher[Rgb | str, Vector] = metered_batcher(
            self._health.watch(self._embed), settings.batch, meters
        )
        meters.record(BANK_EXAMPLES, len(self._bank))
        self._embed([np.zeros((48, 64, 3), np.uint8), "warm up"])

    async def retrieve(
        self,
        photo: Photo | None,
        question: str | None,
        k: int,
        call: Call,
    ) -> tuple[Example, ...]:
        """Return the `k` most similar examples, most similar first.

        If only one of photo and question is given, it alone is compared. The same photo with the
        same question is never found.

        Raises:
            BadImage: The bytes are not a JPEG.
            BadQuestion: The similarity needs a photo or question that is missing.
            Overloaded: The queue is full.
            DeadlineExceeded: The call's time has passed.
        """
        async with received("retriever", call, self._tracer):
            found = await self._find(photo, question, k, call)
        if found:
            self._meters.record(BEST_SIMILARITY, found[0].similarity)
        return found

    async def embed(self, photos: Sequence[Photo], texts: Sequence[str], call: Call) -> Embeddings:
        """Return the unit vectors of photos and texts, each in order.

        Raises:
            BadImage: The bytes of a photo are not a JPEG.
            Overloaded: The queue is full.
            DeadlineExceeded: The call's time has passed.
        """
        async with received("retriever", call, self._tracer):
            arrays = [await decoded(photo) for photo in photos]
            items: list[Rgb | str] = [*arrays, *texts]
            vectors = await asyncio.gather(
                *(self._batcher.submit(item, call.timeout_s) for item in items)
            )
        plain = [tuple(cast("list[float]", vector.tolist())) for vector in vectors]
        return Embeddings(photos=tuple(plain[: len(photos)]), texts=tuple(plain[len(photos) :]))

    async def check_health(self) -> None:
        """Return while the model can run; Ray replaces the replica when this raises."""
        self._health.check()

    async def _find(
        self,
        photo: Photo | None,
        question: str | None,
        k: int,
        call: Call,
    ) -> tuple[Example, ...]:
        if not len(self._bank):
            return ()
        rgb = None if photo is None else await decoded(photo)
        similarity = self._settings.similarity
        image_vector, text_vector = await asyncio.gather(
            self._vector(None if similarity in {"question", "random"} else rgb, call),
            self._vector(None if similarity in {"image", "random"} else question, call),
        )
        if similarity != "random" and image_vector is None and text_vector is None:
            raise BadQuestion(f"Examples are found by {similarity} here, and it is missing.")
        with current().child("search"):
            return await asyncio.to_thread(
                self._bank.search,
                image_vector,
                text_vector,
                min(k, self._settings.max_examples),
                similarity,
                photo=None if rgb is None else fingerprint(rgb),
                question=question,
                seed=self._settings.seed,
            )

    async def _vector(self, item: Rgb | str | None, call: Call) -> Vector | None:
        return None if item is None else await self._batcher.submit(item, call.timeout_s)

    def _embed(self, items: Sequence[Rgb | str]) -> list[Vector]:
        photos = [item for item in items if not isinstance(item, str)]
        texts = [item for item in items if isinstance(item, str)]
        of_photos = iter(self._model.embed_photos(photos) if photos else ())
        of_texts = iter(self._model.embed_texts(texts) if texts else ())
        return [next(of_texts if isinstance(item, str) else of_photos) for item in items]
