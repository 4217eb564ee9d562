"""Which architecture a checkpoint is of, from its config.json."""

import json
from pathlib import Path

import pytest

from models.captioning import families as captioners
from models.generation.rules import Rules
from models.tagging import families as taggers


def checkpoint(folder: Path, **config: object) -> Path:
    (folder / "config.json").write_text(json.dumps({"id2label": {"0": "cat"}} | config))
    (folder / "preprocessor_config.json").write_text("{}")
    return folder


BLIP = {"architectures": ["BlipForConditionalGeneration"], "model_type": "blip"}


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("DetrForObjectDetection", "softmax"),
        ("DetrForSegmentation", "panoptic"),
        ("RTDetrForObjectDetection", "sigmoid"),
        ("RTDetrV2ForObjectDetection", "sigmoid"),
    ],
)
def test_a_taggers_architecture_says_how_its_outputs_are_read(
    tmp_path: Path, architecture: str, kind: str
) -> None:
    assert taggers.read_family(checkpoint(tmp_path, architectures=[architecture])).kind == kind


def test_an_unknown_tagger_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="YolosForObjectDetection is not a known") as refusal:
        taggers.read_family(checkpoint(tmp_path, architectures=["YolosForObjectDetection"]))
    assert all(name in str(refusal.value) for name in taggers.FAMILIES)


def test_a_tagger_without_an_architecture_is_refused_by_its_model_type(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no architecture .*'detr'"):
        taggers.read_family(checkpoint(tmp_path, model_type="detr"))


def test_an_unknown_captioner_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="BlipForQuestionAnswering is not a known") as refusal:
        captioners.read_family(checkpoint(tmp_path, architectures=["BlipForQuestionAnswering"]))
    assert all(name in str(refusal.value) for name in captioners.FAMILIES)


def test_a_decoder_other_than_gpt2_is_refused(tmp_path: Path) -> None:
    start = {"decoder_start_token_id": 1, "decoder": {"model_type": "bert"}}
    with pytest.raises(ValueError, match="'bert'"):
        captioners.read_family(
            checkpoint(tmp_path, architectures=["VisionEncoderDecoderModel"], **start)
        )


def test_blip_ends_at_its_separator_and_has_the_usual_ids_where_config_json_is_silent(
    tmp_path: Path,
) -> None:
    # transformers lets BLIP's text decoder generate, which reads text_config alone.
    (tmp_path / "generation_config.json").write_text(json.dumps({"length_penalty": 2.0}))
    family = captioners.read_family(checkpoint(tmp_path, text_config={"eos_token_id": 2}, **BLIP))
    assert family.start_token_id == 30522
    assert family.positions == 512
    assert family.rules == Rules((102,), decoder_start_token_id=30522)


def test_a_setting_of_blip_that_would_change_the_ids_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="repetition_penalty"):
        captioners.read_family(
            checkpoint(tmp_path, text_config={"repetition_penalty": 1.5}, **BLIP)
        )
