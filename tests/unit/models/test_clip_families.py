import json
from pathlib import Path

import pytest

from models.clip import load
from models.clip.families import FAMILIES
from models.clip.words import Words
from models.settings import EngineSettings
from training.checkpoints import siglip


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_an_unknown_model_type_is_refused_with_the_list_of_known_ones(
    tmp_path: Path, engine: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip2"}))
    with pytest.raises(ValueError, match="model type siglip2") as refusal:
        load(tmp_path, EngineSettings(engine=engine))
    assert set(FAMILIES) <= set(str(refusal.value).replace(",", "").split())


def test_the_tokenizer_of_the_first_siglip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    siglip.write_siglip_words(tmp_path)
    assert Words.from_folder(tmp_path).max_tokens == 64
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "SiglipTokenizer", "pad_token": "<pad>"})
    )
    with pytest.raises(ValueError, match="no rule for tokenizer Siglip"):
        Words.from_folder(tmp_path)
