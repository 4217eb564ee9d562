"""How far the exported graphs are from transformers, on made photos and chats.

Both engines of a model are asked the same; the torch engine is transformers itself.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from models import captioning, chat, clip, tagging
from models.pixels import Rgb
from models.settings import EngineSettings
from packing.errors import PackingError

LIMITS: Mapping[str, float] = {
    "different_captions": 0,
    "different_labels": 0,
    "box_pixels": 1.0,
    "vector": 1e-4,
    "different_answers": 0,
}
"""Largest difference of each kind; boxes in pixels of the photo, vectors by element."""

TEXTS = ("how many people are there?", "what is on the table?", "a red clock")
_NEW_TOKENS = 12
_SCORE = 0.1
"""Low, because made photos show little that a tagger is sure of."""


def measure(part: str, folder: Path, *, threads: int) -> dict[str, float]:
    """Return the largest difference of each kind, and how many tags were compared.

    Raises:
        PackingError: One is beyond its limit.
    """
    engines = EngineSettings(engine="torch"), EngineSettings(engine="onnx", threads=threads)
    found = _MEASURES[part](folder, *engines)
    for kind, value in found.items():
        if kind in LIMITS and not value <= LIMITS[kind]:
            raise PackingError(
                f"{part}: the exported graphs differ from transformers ({kind} {value:.3g}, at"
                f" most {LIMITS[kind]:.3g}); name another checkpoint"
            )
    return found


def _photos() -> list[Rgb]:
    from training.checkpoints.photos import coloured_rectangles

    return coloured_rectangles((240, 320), (320, 240), (300, 300))


def _captioner(folder: Path, *engines: EngineSettings) -> dict[str, float]:
    expected, found = (
        captioning.load(folder, engine, num_beams=1, max_new_tokens=_NEW_TOKENS).caption_ids(
            _photos()
        )
        for engine in engines
    )
    return {"different_captions": _different(expected, found)}


def _tagger(folder: Path, *engines: EngineSettings) -> dict[str, float]:
    expected, found = (
        tagging.load(folder, engine, score_threshold=_SCORE).tag(_photos()) for engine in engines
    )
    labels = [[[tag.label for tag in tags] for tags in each] for each in (expected, found)]
    if different := _different(*labels):
        return {"different_labels": different}
    distances = [
        abs(one - other)
        for tags, others in zip(expected, found, strict=True)
        for tag, its_twin in zip(tags, others, strict=True)
        for one, other in zip(tag.box, its_twin.box, strict=True)
    ]
    return {
        "different_labels": 0,
        "box_pixels": max(distances, default=0.0),
        "compared_tags": len(distances) / 4,
    }


def _clip(folder: Path, *engines: EngineSettings) -> dict[str, float]:
    expected, found = (
        np.concatenate([model.embed_photos(_photos()), model.embed_texts(TEXTS)])
        for model in (clip.load(folder, engine) for engine in engines)
    )
    return {"vector": float(np.abs(expected - found).max())}


def _answerer(folder: Path, *engines: EngineSettings) -> dict[str, float]:
    chats = [[{"role": "user", "content": text}] for text in TEXTS]
    expected, found = (
        [
            each.text
            for each in chat.load(folder, engine).complete(chats, max_new_tokens=_NEW_TOKENS)
        ]
        for engine in engines
    )
    return {"different_answers": _different(expected, found)}


def _different(expected: Sequence[object], found: Sequence[object]) -> float:
    return float(sum(one != other for one, other in zip(expected, found, strict=True)))


_MEASURES: dict[str, Callable[..., dict[str, float]]] = {
    "captioner": _captioner,
    "tagger": _tagger,
    "clip": _clip,
    "answerer": _answerer,
}
