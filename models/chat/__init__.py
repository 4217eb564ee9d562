"""Chat completion with a small language model in this process.

A chat is a sequence of `Turn`s as in the OpenAI API; the checkpoint's chat template turns it into
tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from models.settings import EngineSettings

Turn = Mapping[str, str]
"""`{"role": "system" | "user" | "assistant", "content": text}`."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The generated text and the number of tokens."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    first_token_s: float | None = field(default=None, compare=False)
    """Seconds to the first token, or None if not measured."""


class ChatModel(Protocol):
    """Completes several chats at once, greedily (temperature 0)."""

    def complete(self, chats: Sequence[Sequence[Turn]], *, max_new_tokens: int) -> list[Completion]:
        """Return one completion for each chat, in order.

        Raises:
            ValueError: A chat and its answer would not fit the model's context, or the chat
                template refuses the chat.
        """
        ...

    def count_tokens(self, chat: Sequence[Turn]) -> int:
        """Return the number of prompt tokens, chat template included."""
        ...


def load(folder: Path, engine: EngineSettings) -> ChatModel:
    """Load a causal language model with a chat template, of a family in `models.chat.families`.

    Args:
        folder: A checkpoint: config.json, tokenizer.json, a chat template, model.safetensors or
            its shards, and `model.onnx` for the ONNX engine.
        engine: Library, device and threads.

    Raises:
        FileNotFoundError: A file of the checkpoint is missing.
        ValueError: The family is unknown, or the checkpoint needs something that is not
            supported.
    """
    if engine.engine == "torch":
        from models.chat.torch import TorchChat

        return TorchChat(folder, engine)
    from models.chat.onnx import OnnxChat

    return OnnxChat(folder, engine)
