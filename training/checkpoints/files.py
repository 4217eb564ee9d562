"""Files beside the weights: JSON, a byte-level BPE as GPT-2's, and word pieces as BERT's."""

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


def write_word_pieces(folder: Path, *, words: int) -> None:
    """Write the word pieces of bert-base-uncased cut to so many, special tokens at their ids.

    Every second filler continues a word, so that captions show how pieces are joined.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    pieces = sorted({*" ".join(_TEXT).lower().split(), *".,;!'"})
    known = iter([*pieces, *(f"{'##' * (n % 2)}fill{n}" for n in range(words))])
    at = {place: token for token, place in special.items()}
    vocabulary = {at.get(place) or next(known): place for place in range(words)}
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = Tokenizer(models.WordPiece.from_file(str(folder / "vocab.txt")))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 101), ("[SEP]", 102)]
    )
    tokenizer.add_special_tokens(list(special))
    tokenizer.save(str(folder / "tokenizer.json"))
    marks = {f"{token[1:-1].lower()}_token": token for token in special}
    write_json(folder / "special_tokens_map.json", marks)
    write_json(
        folder / "tokenizer_config.json",
        {
            "do_lower_case": True,
            "model_max_length": 512,
            "processor_class": "BlipProcessor",
            "strip_accents": None,
            "tokenize_chinese_chars": True,
            "tokenizer_class": "BertTokenizer",
            **marks,
        },
    )
