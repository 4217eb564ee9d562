"""A captioner on torch: transformers' own `generate`, the reference that ONNX Runtime follows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.captioning.families import read_family
from models.captioning.wording import Wording
from models.pixels import Rgb
from models.preprocessing import Preprocessor
from models.settings import EngineSettings
from models.torch_device import place


class TorchCaptioner:
    """See `models.captioning.load`."""

    def __init__(
        self, folder: Path, engine: EngineSettings, *, num_beams: int, max_new_tokens: int
    ) -> None:
        family = read_family(folder)
        self._wording = Wording(folder, family, max_new_tokens=max_new_tokens)
        self._num_beams = num_beams
        self._preprocess = Preprocessor.from_folder(folder)
        self._place = place(engine)
        import transformers

        kind: Any = getattr(transformers, family.architecture)
        model: Any = kind.from_pretrained(folder, dtype=self._place.dtype)
        self._model = model.eval().to(self._place.device)

    def caption(self, photos: Sequence[Rgb]) -> list[str]:
        """Return one caption for each photo, in order."""
        return self._wording.captions(self.caption_ids(photos))

    def caption_ids(self, photos: Sequence[Rgb]) -> list[list[int]]:
        """Return the token ids of each photo's caption, its end-of-text token included."""
        import torch

        if not photos:
            return []
        rules = self._wording.rules
        pixels = torch.from_numpy(self._preprocess(photos))
        with torch.inference_mode():
            written = self._model.generate(
                pixels.to(self._place.device, self._place.dtype),
                num_beams=self._num_beams,
                max_new_tokens=self._wording.max_new_tokens,
                do_sample=False,
                # transformers overlooks those that stand inside BLIP's text_config.
                length_penalty=rules.length_penalty,
                early_stopping=rules.early_stopping,
                forced_bos_token_id=rules.forced_bos_token_id,
                forced_eos_token_id=rules.forced_eos_token_id,
            )
        # The first token is the decoder's start, which the model was given.
        return [rules.until_end(row) for row in written[:, 1:].tolist()]
