"""Tokenizers of checkpoints, through the `tokenizers` library alone.

transformers need not be installed to serve text. Truncation and padding of tokenizer.json are
turned off, because each model does both itself.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def load_tokenizer(folder: Path) -> "Tokenizer":
    """Load tokenizer.json, or build it from vocab.json and merges.txt (CLIP, GPT-2).

    Raises:
        FileNotFoundError: The folder has neither.
        ValueError: vocab.json and merges.txt belong to a family that we do not know.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if path.is_file():
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
    if not (folder / "vocab.json").is_file() or not (folder / "merges.txt").is_file():
        raise FileNotFoundError(f"{folder}: neither tokenizer.json nor vocab.json and merges.txt")
    kind = tokenizer_family(folder)
    if kind == "CLIP":
        return _clip(folder)
    if kind == "GPT2":
        return _gpt2(folder)
    raise ValueError(f"{folder}: no tokenizer.json, and no rule to make one for {kind or 'this'}")


def tokenizer_family(folder: Path) -> str:
    """Return the class in tokenizer_config.json as `GPT2` or `Gemma`, or nothing."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return str(config.get("tokenizer_class", "")).removesuffix("Fast").removesuffix("Tokenizer")


def _clip(folder: Path) -> "Tokenizer":
    """Lower-case byte-level BPE whose words end in `</w>` (Radford et al. 2021)."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import RobertaProcessing

    start, end = "<|startoftext|>", "<|endoftext|>"
    tokenizer = Tokenizer(
        models.BPE.from_file(
            str(folder / "vocab.json"),
            str(folder / "merges.txt"),
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            unk_token=end,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([start, end])
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = RobertaProcessing(
        (end, ids[end]), (start, ids[start]), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def _gpt2(folder: Path) -> "Tokenizer":
    """Byte-level BPE that adds no special tokens of its own (Radford et al. 2019)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary, merges = str(folder / "vocab.json"), str(folder / "merges.txt")
    tokenizer = Tokenizer(models.BPE.from_file(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer
