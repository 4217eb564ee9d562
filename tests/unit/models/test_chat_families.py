import json
from pathlib import Path

import pytest

from models.chat.families import FAMILIES, read_family


def test_an_unknown_architecture_is_refused_with_the_list_of_known_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["MambaForCausalLM"]}))
    with pytest.raises(ValueError, match="MambaForCausalLM") as refusal:
        read_family(tmp_path)
    assert set(FAMILIES) <= set(str(refusal.value).replace(",", "").split())


def test_a_checkpoint_that_names_no_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="no answerer for architecture None"):
        read_family(tmp_path)


@pytest.mark.parametrize(
    "window", [{"use_sliding_window": True}, {"layer_types": ["sliding_attention"]}]
)
def test_attention_to_a_sliding_window_is_refused(
    tmp_path: Path, window: dict[str, object]
) -> None:
    config = {"architectures": ["Qwen2ForCausalLM"], **window}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="sliding window"):
        read_family(tmp_path)
