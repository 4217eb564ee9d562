"""A captioner on ONNX Runtime: `encoder.onnx` once per photo, `decoder.onnx` once per token.

The encoder's output stays on its device.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.captioning.families import read_family
from models.captioning.wording import Wording
from models.generation import Ids, Scores
from models.generation.beams import beam_search
from models.generation.cache import CachedDecoder, run_on_device
from models.generation.greedy import greedy
from models.pixels import Rgb
from models.preprocessing import Preprocessor
from models.sessions import open_session
from models.settings import EngineSettings


class OnnxCaptioner:
    """See `models.captioning.load`."""

    def __init__(
        self, folder: Path, engine: EngineSettings, *, num_beams: int, max_new_tokens: int
    ) -> None:
        self._wording = Wording(folder, read_family(folder), max_new_tokens=max_new_tokens)
        self._num_beams = num_beams
        self._preprocess = Preprocessor.from_folder(folder)
        self._encoder = open_session(folder / "encoder.onnx", engine)
        self._decoder = open_session(folder / "decoder.onnx", engine)

    def caption(self, photos: Sequence[Rgb]) -> list[str]:
        """Return one caption for each photo, in order."""
        return self._wording.captions(self.caption_ids(photos))

    def caption_ids(self, photos: Sequence[Rgb]) -> list[list[int]]:
        """Return the token ids of each photo's caption, its end-of-text token included."""
        if not photos:
            return []
        cross = run_on_device(self._encoder, {"pixel_values": self._preprocess(photos)})
        step = _Step(CachedDecoder(self._decoder, rows=len(photos), constants=cross))
        start = np.full(len(photos), self._wording.start_token_id, np.int64)
        return self._search(step(start, np.arange(len(photos))), step)

    def _search(self, first: Scores, step: "_Step") -> list[list[int]]:
        rules, longest = self._wording.rules, self._wording.max_new_tokens
        if self._num_beams == 1:
            return greedy(first, step, rules, max_new_tokens=longest)
        return beam_search(first, step, rules, num_beams=self._num_beams, max_new_tokens=longest)


class _Step:
    def __init__(self, decoder: CachedDecoder) -> None:
        self._decoder = decoder

    def __call__(self, tokens: Ids, parents: Ids) -> Scores:
        return self._decoder.run({"input_ids": tokens[:, None], "parents": parents})
