"""A bundle of production's shapes: the configurations of `bundles/hub.yaml`, weights random.

A photo costs what it would cost with the public weights, and nothing is downloaded. What it says of
a photo means nothing, and three things differ. Captions run to the limit of tokens, as random
weights never end one, so that it is set to the 16 that public captions are long. The answerer is
the demo's own, since production's runs elsewhere. And the tagger sees photos at 320 pixels instead
of 800, at which even 8 at a time on two cores would wait for longer than any answer may take; with
less work for the models, the serving shows more.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from bank.examples import EXAMPLES_FILE, read_examples
from bank.release import clip_of
from bank.vectors import read_vectors, write_vectors
from benchmarks.machine import FOLDER
from benchmarks.running_app import Changes
from models.bundle import Bundle

DEMO = Path("bundles/demo")
PRODUCTION_SHAPED_BUNDLE = FOLDER / "production-shaped"

TAGGER_EDGE = 320
PRODUCTION_SHAPED: Changes = {
    "captioner": {
        "max_new_tokens": 16,
        "engine": {"threads": 2},
        "batch": {"max_size": 16, "niceness": 20},
    },
    "tagger": {
        "scaling": {"autoscaling": {"min_replicas": 2, "max_replicas": 2}},
        "batch": {"max_size": 1, "niceness": 10},
    },
    "retriever": {"batch": {"max_size": 1, "niceness": 0}},
}
"""The tagger is most of the work, and one replica of one thread would leave a core idle; a photo
takes it two gigabytes. No two stages are equally urgent: those that take turns on a core every few
milliseconds empty each other's caches. The captioner, much cheaper in batches, comes last, and
takes both cores where no photo is left to tag. A batch makes vectors no cheaper."""


def make_production_shaped(folder: Path = PRODUCTION_SHAPED_BUNDLE) -> Path:
    """Write the bundle where it is not there yet, which takes minutes; return its folder."""
    if (folder / "bundle.yaml").exists():
        return folder
    from training.checkpoints.clip import make_clip_base_patch16
    from training.checkpoints.detr import make_detr_panoptic
    from training.checkpoints.vit_gpt2 import make_production_captioner
    from training.export.parts import export_part

    shutil.rmtree(folder, ignore_errors=True)
    for part in ("captioner", "tagger", "clip", "bank"):
        (folder / part).mkdir(parents=True)
    make_production_captioner(folder / "captioner")
    make_detr_panoptic(folder / "tagger", shortest_edge=TAGGER_EDGE)
    export_part("tagger", folder / "tagger")
    make_clip_base_patch16(folder / "clip")
    export_part("clip", folder / "clip")
    for part in ("answerer", "photos"):
        shutil.copytree(DEMO / part, folder / part)
    parts = {part: {"path": part} for part in ("captioner", "tagger", "clip", "answerer")}
    bundle = {"name": "production-shaped", "version": "1", **parts, "bank": "bank"}
    (folder / "bank.yaml").write_text(yaml.safe_dump(bundle), "utf-8")
    _write_bank(Bundle.load(folder / "bank.yaml"), folder)
    (folder / "bank.yaml").rename(folder / "bundle.yaml")
    return folder


def _write_bank(bundle: Bundle, home: Path) -> None:
    """Write the demo's examples with random vectors as long as those of the bundle's CLIP."""
    folder = home / "bank"
    shutil.copy(DEMO / "bank" / EXAMPLES_FILE, folder)
    of_demo = read_vectors(DEMO / "bank", len(read_examples(folder / EXAMPLES_FILE)))
    config = json.loads((home / "clip" / "config.json").read_text("utf-8"))
    random = np.random.default_rng(5)

    def unit(count: int) -> NDArray[np.float32]:
        rows = random.standard_normal((count, config["projection_dim"]))
        scaled: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return scaled.astype(np.float32)

    vectors = replace(
        of_demo,
        image=unit(len(of_demo.image)),
        text=unit(len(of_demo.text)),
        made_by=clip_of(bundle),
    )
    write_vectors(vectors, folder)
