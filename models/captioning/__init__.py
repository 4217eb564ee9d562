"""Image captioning: one sentence about a photo.

The caption is most of what the language model gets to know of the picture.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from models.pixels import Rgb
from models.settings import EngineSettings


class CaptionModel(Protocol):
    """Captions several photos at once."""

    def caption(self, photos: Sequence[Rgb]) -> list[str]:
        """Return one caption for each photo, in order."""
        ...

    def caption_ids(self, photos: Sequence[Rgb]) -> list[list[int]]:
        """Return the token ids of each photo's caption, its end-of-text token included."""
        ...


def load(
    folder: Path, engine: EngineSettings, *, num_beams: int, max_new_tokens: int
) -> CaptionModel:
    """Load a captioner of a family that `models.captioning.families` lists: ViT-GPT2 or BLIP.

    Args:
        folder: A checkpoint in its published layout, with `encoder.onnx` and `decoder.onnx`
            beside it for the ONNX engine.
        engine: Library, device and threads.
        num_beams: Beam width; 1 is greedy search.
        max_new_tokens: Most tokens of a caption.

    Raises:
        FileNotFoundError: A file of the checkpoint is missing.
        ValueError: The checkpoint is of an unknown architecture (the message lists the known),
            it needs something that the engine does not support, or max_new_tokens exceeds the
            decoder's context.
    """
    if engine.engine == "torch":
        from models.captioning.torch import TorchCaptioner

        return TorchCaptioner(folder, engine, num_beams=num_beams, max_new_tokens=max_new_tokens)
    from models.captioning.onnx import OnnxCaptioner

    return OnnxCaptioner(folder, engine, num_beams=num_beams, max_new_tokens=max_new_tokens)
