"""Trains the byte-level BPE tokenizer that every text model of the demo bundle uses.

The trainer sees each distinct word once, so merging runs until every word of the world, with its
leading space, is a single token, whatever its frequency. A text that starts a segment is given a
leading space too: the answer `red` is then the same token as ` red` in a caption, and decoded text
must be stripped. `<eos>` is deliberately not id 2, because transformers' CLIP reads 2 as "pool at
the largest token id" (kept for old checkpoints).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

PAD, BOS, UNK, EOS = "<pad>", "<bos>", "<unk>", "<eos>"
PAD_ID, BOS_ID, UNK_ID, EOS_ID = range(4)
LARGEST_VOCABULARY = 1200


def train_tokenizer(
    texts: Iterable[str],
    *,
    extra_special_tokens: Sequence[str] = (),
    wrap: bool = False,
    model_max_length: int = 1024,
    chat_template: str | None = None,
) -> PreTrainedTokenizerFast:
    """Return a lower-casing byte-level BPE in which every word of `texts` is one token.

    Ids 0 to 3 are pad, bos, unk and eos; `extra_special_tokens` (chat markers, say) follow as
    4, 5, ...; `wrap` makes the tokenizer itself put bos before and eos after a text (CLIP needs
    it; captions and chat prompts place them on their own). `chat_template` is Jinja, as in
    `tokenizer.chat_template`. Any other text still encodes, byte by byte, and never to unk.
    Raises ValueError when `texts` hold so many words that some would stay split.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    words = distinct_words(texts)
    trainer = trainers.BpeTrainer(
        vocab_size=LARGEST_VOCABULARY,
        min_frequency=1,
        special_tokens=[PAD, BOS, UNK, EOS, *extra_special_tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(words, trainer)
    split = [word for word in words if len(tokenizer.encode(word).ids) != 1]
    if split:
        raise ValueError(f"{len(split)} words are no single token, {split[0]!r} for one")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    if wrap:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A {EOS}", special_tokens=[(BOS, BOS_ID), (EOS, EOS_ID)]
        )
    fast: PreTrainedTokenizerFast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        unk_token=UNK,
        eos_token=EOS,
        extra_special_tokens=list(extra_special_tokens),
        model_max_length=model_max_length,
        clean_up_tokenization_spaces=False,
    )
    if chat_template is not None:
        fast.chat_template = chat_template
    return fast


def distinct_words(texts: Iterable[str]) -> list[str]:
    """Return the distinct words of `texts` as the pre-tokenizer splits them (` mug`, `:`), sorted.

    The first word of a text counts with the leading space that it will be given.
    """
    cutter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    seen: set[str] = set()
    for line in set(texts):
        normal = normalizers.Lowercase().normalize_str(" " + line.lstrip())
        pieces = cutter.pre_tokenize_str(normal)
        seen.update(normal[start:end] for _, (start, end) in pieces)
    return sorted(seen)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` (and the chat template) into `folder`."""
    tokenizer.save_pretrained(folder)
