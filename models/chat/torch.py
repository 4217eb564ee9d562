"""A chat model on torch: transformers' own `generate`, the reference that ONNX Runtime follows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.chat import Completion, Turn
from models.chat.prompts import RULES, Prompts, pad_left
from models.generation.rules import read_rules
from models.settings import EngineSettings
from models.torch_device import place


class TorchChat:
    """A checkpoint of transformers; see `models.chat.ChatModel`."""

    def __init__(self, folder: Path, engine: EngineSettings) -> None:
        from transformers import AutoModelForCausalLM

        self._prompts = Prompts(folder)
        self._rules = read_rules(folder, supports=RULES)
        self._place = place(engine)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=self._place.dtype)
        self._model = model.eval().to(self._place.device)

    def complete(self, chats: Sequence[Sequence[Turn]], *, max_new_tokens: int) -> list[Completion]:
        """Return one completion for each chat, in order."""
        if not chats:
            return []
        prompts = self._prompts.encode_all(chats, max_new_tokens=max_new_tokens)
        written = self.write(prompts, max_new_tokens=max_new_tokens)
        return [self._prompts.completion(*pair) for pair in zip(prompts, written, strict=True)]

    def write(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """Return the ids that follow each prompt's ids, the end-of-text token included."""
        import torch

        ids, mask = (torch.from_numpy(part).to(self._place.device) for part in pad_left(prompts))
        with torch.inference_mode():
            written = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
            )
        return [self._rules.until_end(row) for row in written[:, ids.shape[1] :].tolist()]

    def count_tokens(self, chat: Sequence[Turn]) -> int:
        """Return the number of prompt tokens, chat template included."""
        return len(self._prompts.encode(chat))
