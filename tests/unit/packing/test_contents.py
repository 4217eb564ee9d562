"""Which files are fetched, and which checkpoints are refused before anything large is."""

import json
from pathlib import Path

import pytest

from packing.contents import ARCHITECTURES, architecture, check_chat_template, needed
from packing.errors import PackingError
from packing.hub import HubFile, Repository

CAPTIONER = (
    "README.md", "LICENSE", "config.json", "generation_config.json", "preprocessor_config.json",
    "tokenizer.json", "model.safetensors",
)  # fmt: skip


def repository(*names: str, part: str = "captioner") -> Repository:
    files = {name: HubFile(name, len(name), "0" * 40) for name in names}
    return Repository(part, "someone/one", "main", "a" * 40, None, files)


def chosen(*names: str, part: str = "captioner") -> set[str]:
    return {file.name for file in needed(repository(*names, part=part))}


def without(*names: str) -> list[str]:
    return [name for name in CAPTIONER if name not in names]


def test_weights_of_other_libraries_code_and_folders_are_left() -> None:
    others = ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "modeling.py", "a.ot")
    assert chosen(*CAPTIONER, *others, "onnx/model.onnx", "x/config.json") == set(CAPTIONER)


def test_a_pickle_is_fetched_only_where_there_is_nothing_else() -> None:
    assert "pytorch_model.bin" in chosen(*without("model.safetensors"), "pytorch_model.bin")


def test_all_shards_and_their_index_are_fetched() -> None:
    shards = {f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    shards |= {"model.safetensors.index.json"}
    assert chosen(*without("model.safetensors"), *shards, "pytorch_model.bin") >= shards


def test_a_tagger_needs_no_tokenizer_and_an_answerer_no_preprocessor() -> None:
    assert "tokenizer.json" not in chosen(*CAPTIONER, part="tagger")
    answerer = (*CAPTIONER, "tokenizer_config.json")
    assert "preprocessor_config.json" not in chosen(*answerer, part="answerer")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("model.safetensors", "no weights"),
        ("config.json", r"no config\.json"),
        ("preprocessor_config.json", r"no preprocessor_config\.json"),
        ("tokenizer.json", "no tokenizer"),
    ],
)
def test_what_a_part_cannot_do_without_is_named(name: str, line: str) -> None:
    with pytest.raises(PackingError, match=rf"captioner \(someone/one\) has {line}"):
        chosen(*without(name))


def checked(tmp_path: Path, *configs: object, part: str = "captioner") -> str:
    files = []
    for number, config in enumerate(configs):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(config if isinstance(config, str) else json.dumps(config))
    return architecture(repository(part=part), files)


KNOWN = {"architectures": ["VisionEncoderDecoderModel"]}


@pytest.mark.parametrize("place", ["file", "tokenizer_config.json", "nowhere"])
def test_a_model_that_cannot_be_asked_is_refused(tmp_path: Path, place: str) -> None:
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"chat_template": "x"} if place == config.name else {}))
    asked = repository(*(["chat_template.jinja"] if place == "file" else []), part="answerer")
    if place == "nowhere":
        with pytest.raises(PackingError, match="has no chat template"):
            check_chat_template(asked, asked.files.values(), config)
    else:
        check_chat_template(asked, asked.files.values(), config)


def test_a_known_architecture_is_named(tmp_path: Path) -> None:
    assert checked(tmp_path, KNOWN) == "VisionEncoderDecoderModel"


@pytest.mark.parametrize("config", [{"architectures": ["MambaModel"]}, {}, {"architectures": []}])
def test_an_unknown_architecture_is_refused_with_the_known_ones(
    tmp_path: Path, config: object
) -> None:
    with pytest.raises(PackingError) as refused:
        checked(tmp_path, config, part="tagger")
    assert all(name in str(refused.value) for name in ARCHITECTURES["tagger"])


@pytest.mark.parametrize(
    "configs",
    [
        [KNOWN | {"auto_map": {"AutoModel": "modeling.Mine"}}],
        [KNOWN | {"text_config": {"auto_map": {}}}],
        [KNOWN, {"parts": [{"auto_map": {}}]}],
    ],
)
def test_code_of_a_repository_is_refused(tmp_path: Path, configs: list[object]) -> None:
    with pytest.raises(PackingError, match="asks for code of the repository"):
        checked(tmp_path, *configs)


def test_a_configuration_that_is_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackingError, match=r"0\.json is not JSON"):
        checked(tmp_path, "<html>")
