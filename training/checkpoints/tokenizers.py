"""Tokenizers in the layouts of public repositories, with small vocabularies.

Only the vocabulary is trained here, on a few lines; normalizer, splitting, decoder and special
tokens are those of the repository that a function names.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.checkpoints.files import write_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer
    from tokenizers.pre_tokenizers import PreTokenizer

_TEXT = [
    "<|im_start|>system\nAnswer the question about the photo in a few words.",
    "<|im_start|>user\nwhat color is the couch? how many dogs are sitting on it, and where?",
    "Context: a man riding a wave on top of a surfboard. it's 12:30, isn't it?",
    "Übergröße: naïve café №5 – 12,345.67 €",
]
_UNKNOWN = "<unk>"
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def write_byte_level(
    folder: Path,
    *,
    split: Sequence["PreTokenizer"],
    specials: Sequence[str],
    config: dict[str, Any],
    normalizer: "Normalizer | None" = None,
    words: Sequence[str] = (),
) -> None:
    """Write a byte-level BPE (GPT-2's kind).

    Args:
        folder: Where tokenizer.json and tokenizer_config.json go.
        split: How text is cut, and read as bytes.
        specials: Special tokens, which get the ids from 0.
        config: tokenizer_config.json.
        normalizer: What becomes of a text before it is cut.
        words: Added tokens that decoding does not skip; their ids are the last.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(split))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _TEXT,
        trainers.BpeTrainer(
            vocab_size=320,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=list(specials),
            show_progress=False,
        ),
    )
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    _write(folder, tokenizer, config)


def write_sentencepiece(
    folder: Path, *, specials: Sequence[str], template: str, prefix: str, config: dict[str, Any]
) -> None:
    """Write a SentencePiece BPE with byte fallback, as Llama 2 and Gemma publish it.

    Args:
        folder: Where tokenizer.json and tokenizer_config.json go.
        specials: Special tokens, which get the ids from 0; the bytes follow.
        template: Special tokens around a text, such as `<s> $A`.
        prefix: What a text gets in front: `▁` with Llama 2, nothing with Gemma.
        config: tokenizer_config.json.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

    spaces = normalizers.Replace(" ", "▁")
    learner = Tokenizer(models.BPE())
    learner.normalizer = spaces
    learner.train_from_iterator(
        [word for line in _TEXT for word in line.lower().split()],
        trainers.BpeTrainer(vocab_size=90, initial_alphabet=["▁"], show_progress=False),
    )
    learner.model.save(str(folder))
    merges = (folder / "merges.txt").read_text("utf-8").splitlines()[1:]
    learned = sorted(learner.get_vocab(), key=learner.get_vocab().__getitem__)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    pieces = dict.fromkeys([*specials, *_BYTES, *learned])
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: number for number, piece in enumerate(pieces)},
            merges=[(left, right) for left, right in map(str.split, merges)],
            unk_token=_UNKNOWN,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend(prefix), spaces]) if prefix else spaces
    )
    decoding = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(
        [*decoding, decoders.Strip(" ", 1, 0)] if prefix else decoding
    )
    tokenizer.add_special_tokens(list(specials))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template,
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in specials],
    )
    _write(folder, tokenizer, config)


def _write(folder: Path, tokenizer: "Tokenizer", config: dict[str, Any]) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", config)
