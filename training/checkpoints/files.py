"""Files beside the weights: JSON, and a byte-level BPE as GPT-2's."""

import json
from pathlib import Path

END = "<|endoftext|>"
_TEXT = [
    "a man riding a wave on top of a surfboard.",
    "two dogs are sitting on a couch, and one of them isn't asleep.",
    "a kitchen with a table ; it 's full of plates !",
    "Übergröße: naïve café №5 – 12,345.67 €",
]


def write_json(path: Path, value: object) -> None:
    """Write a value as a readable file."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_byte_bpe(folder: Path, *, words: int, end_id: int) -> None:
    """Write a byte-level BPE of so many words, filled up with such as no text makes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, initial_alphabet=alphabet, min_frequency=1, show_progress=False
    )
    trained.train_from_iterator(_TEXT, trainer)
    trained.model.save(str(folder))
    ids = trained.get_vocab()
    known = sorted(ids, key=ids.__getitem__)
    free = [index for index in range(words) if index != end_id]
    filler = [f"Ġfill{index}" for index in range(words - 1 - len(known))]
    vocabulary = dict(zip([*known, *filler], free, strict=True)) | {END: end_id}
    write_json(folder / "vocab.json", vocabulary)
    merges = folder / "merges.txt"
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(folder / "tokenizer.json"))
    marks = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END)
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024, **marks},
    )
