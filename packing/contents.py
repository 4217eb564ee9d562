"""Which files of a repository a part needs, and whether its checkpoint is one that we know."""

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from models.captioning import families as captioning
from models.chat import families as chat
from models.clip import families as clip
from models.tagging import families as tagging
from packing.errors import PackingError
from packing.hub import HubFile, Repository

ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "captioner": tuple(captioning.FAMILIES),
    "tagger": tuple(tagging.FAMILIES),
    "clip": tuple(family.architecture for family in clip.FAMILIES.values()),
    "answerer": tuple(chat.FAMILIES),
}
"""What each part may be: `architectures` of config.json, as transformers names them."""

_ABOUT = ("README.md", "LICEN[CS]E*", "NOTICE*", "COPYING*", "USE_POLICY*")
_CONFIGURATION = ("config.json", "generation_config.json")
_PHOTOS = ("preprocessor_config.json", "processor_config.json")
_TEXT = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "chat_template.jinja",
)  # fmt: skip
_TOKENIZERS = (
    ("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",), ("tokenizer.model",),
    ("spiece.model",), ("sentencepiece.bpe.model",),
)  # fmt: skip
_SEES = ("captioner", "tagger", "clip")
_READS = ("captioner", "clip", "answerer")
_WEIGHTS = (
    ("model.safetensors",),
    ("model-*-of-*.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin",),
    ("pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json"),
)
"""In the order of preference; only the first kind that is there is fetched."""


def needed(repository: Repository) -> list[HubFile]:
    """Return the files that the part needs, smallest first.

    Raises:
        PackingError: One that it cannot do without is not there.
    """
    names = [name for name in repository.files if "/" not in name]
    sees, reads = repository.part in _SEES, repository.part in _READS
    patterns = [*_ABOUT, *_CONFIGURATION, *(_PHOTOS if sees else ()), *(_TEXT if reads else ())]
    weights = next((found for kind in _WEIGHTS if (found := list(_matching(names, kind)))), [])
    chosen = {*_matching(names, patterns), *weights}
    is_chat = repository.part == "answerer"
    missing = {
        "weights (model.safetensors or pytorch_model.bin)": not weights,
        "config.json": "config.json" not in chosen,
        "preprocessor_config.json": sees and "preprocessor_config.json" not in chosen,
        "tokenizer_config.json": is_chat and "tokenizer_config.json" not in chosen,
        "tokenizer": reads and not any(chosen.issuperset(files) for files in _TOKENIZERS),
    }
    for what, is_missing in missing.items():
        if is_missing:
            raise PackingError(
                f"{repository} has no {what} at {repository.commit[:12]}; name another repository"
            )
    return sorted((repository.files[name] for name in chosen), key=lambda file: file.size)


def architecture(repository: Repository, configs: Iterable[Path]) -> str:
    """Return the architecture that config.json names, where it is one that we know.

    Args:
        repository: For messages, and its part.
        configs: config.json first, then the other JSON files that may name code.

    Raises:
        PackingError: The part cannot be of this architecture, or a file asks for code of the
            repository (`auto_map`, what transformers runs by `trust_remote_code`).
    """
    first: Any = None
    for file in configs:
        try:
            config = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise PackingError(f"{repository}: {file.name} is not JSON ({error})") from None
        first = config if first is None else first
        if _names_code(config):
            raise PackingError(
                f"{repository}: {file.name} asks for code of the repository (auto_map), which is"
                " never run; name a repository without"
            )
    found = [str(name) for name in (first or {}).get("architectures") or ["none"]]
    known = ARCHITECTURES[repository.part]
    for name in found:
        if name in known:
            return name
    raise PackingError(
        f"{repository} is a {', '.join(found)}; a {repository.part} can be {', '.join(known)}"
    )


def check_chat_template(repository: Repository, files: Iterable[HubFile], config: Path) -> None:
    """Look for a chat template in a file of its own, or in tokenizer_config.json (`config`).

    Raises:
        PackingError: There is none, so that the model cannot be asked.
    """
    has_file = any(file.name == "chat_template.jinja" for file in files)
    if not has_file and "chat_template" not in json.loads(config.read_text("utf-8")):
        raise PackingError(
            f"{repository} has no chat template; name an instruction-tuned model of the family"
        )


def _matching(names: Iterable[str], patterns: Iterable[str]) -> Iterable[str]:
    patterns = list(patterns)
    return (name for name in names if any(fnmatchcase(name, each) for each in patterns))


def _names_code(config: object) -> bool:
    if isinstance(config, dict):
        return "auto_map" in config or any(map(_names_code, config.values()))
    return isinstance(config, list) and any(map(_names_code, config))
