"""Which architecture a checkpoint is of, from its config.json."""

import json
from pathlib import Path

import pytest

from models.tagging.families import FAMILIES, read_family


def checkpoint(folder: Path, **config: object) -> Path:
    (folder / "config.json").write_text(json.dumps({"id2label": {"0": "cat"}} | config))
    (folder / "preprocessor_config.json").write_text("{}")
    return folder


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
    assert read_family(checkpoint(tmp_path, architectures=[architecture])).kind == kind


def test_an_unknown_tagger_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="YolosForObjectDetection is not a known") as refusal:
        read_family(checkpoint(tmp_path, architectures=["YolosForObjectDetection"]))
    assert all(name in str(refusal.value) for name in FAMILIES)


def test_a_tagger_without_an_architecture_is_refused_by_its_model_type(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no architecture .*'detr'"):
        read_family(checkpoint(tmp_path, model_type="detr"))
