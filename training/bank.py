"""Writes what the demo's example bank is built from, and the demo's sample photos.

The bank's scenes are of the training split, so that none of them is ever asked about in a test;
the sample photos are of the test split. Owners come from the one household of
`training.questions.OWNERS`, which no model has learnt: only the bank holds it.

    python -m training.bank --out build/bank --photos bundles/demo/photos
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

from training.conversations import seen
from training.drawing import draw_jpeg
from training.questions import KINDS, Question, ask
from training.scenes import Scene, Split, sample_scene

EXAMPLES, QUESTIONS_A_PHOTO = 4000, 6
SAMPLE_PHOTOS, QUESTIONS_A_SAMPLE = 10, 3
FIRST_SEED = 5_000_000
"""Far above the seeds that the captioner and tagger were trained on, and of the test figures."""


@dataclass(frozen=True)
class Row:
    """One solved question; rows of one scene share its photo."""

    id: str
    photo: str
    scene: Scene
    question: Question

    def fields(self) -> dict[str, object]:
        """Return the row as in an annotation file."""
        caption, labels = seen(self.scene)
        return {
            "id": self.id,
            "photo": self.photo,
            "caption": caption,
            "tags": list(labels),
            "question": self.question.question,
            "answer": self.question.answer,
            "kind": self.question.kind,
            "subject": self.question.subject,
        }


def bank_rows(examples: int = EXAMPLES) -> Iterator[Row]:
    """Yield solved questions, balanced over kinds, about `QUESTIONS_A_PHOTO` of each photo."""
    asked: Counter[str] = Counter()
    for seed in count(FIRST_SEED):
        scene = sample_scene(seed, "train")
        for question in _rarest_kinds(scene, asked, QUESTIONS_A_PHOTO):
            if asked.total() == examples:
                return
            asked[question.kind] += 1
            yield Row(f"{seed}-{question.kind}", f"{seed}.jpg", scene, question)


def sample_rows() -> Iterator[Row]:
    """Yield questions about test photos of varied content, every kind among them."""
    asked: Counter[str] = Counter()
    for index, scene in enumerate(_varied_scenes("test"), 1):
        for question in _rarest_kinds(scene, asked, QUESTIONS_A_SAMPLE):
            asked[question.kind] += 1
            name = f"photo-{index:02}"
            yield Row(f"{name}-{question.kind}", f"{name}.jpg", scene, question)


def _rarest_kinds(scene: Scene, asked: Counter[str], most: int) -> list[Question]:
    """Return questions of the kinds that were asked least so far and that the scene allows."""
    rng = Random(f"questions:{scene.split}:{scene.seed}")
    kinds = sorted(KINDS, key=lambda kind: (asked[kind], rng.random()))
    found = [question for kind in kinds if (question := ask(kind, scene, rng)) is not None]
    return found[:most]


def _varied_scenes(split: Split) -> list[Scene]:
    """Return scenes, each with the most content that those before it did not show."""
    candidates = [sample_scene(FIRST_SEED + offset, split) for offset in range(300)]
    chosen: list[Scene] = []
    shown: Counter[str] = Counter()
    for _ in range(SAMPLE_PHOTOS):
        best = max(
            candidates,
            key=lambda scene: sum(1 / (1 + 2 * shown[trait]) for trait in _traits(scene)),
        )
        candidates.remove(best)
        chosen.append(best)
        shown.update(_traits(best))
    return chosen


def _traits(scene: Scene) -> set[str]:
    traits = {scene.room, *(thing.label for thing in scene.things)}
    for person in scene.people:
        traits |= {f"{person.shirt} shirt", f"{person.hair} hair", f"{person.hat} hat"}
        traits |= {f"glasses {person.glasses}", f"hand {person.hand_raised}"}
    return traits


def write_bank(out: Path, examples: int) -> int:
    """Write `annotations.jsonl` and `photos/` into `out`; return the number of photos."""
    return _write(list(bank_rows(examples)), out / "annotations.jsonl", out / "photos")


def write_samples(out: Path) -> int:
    """Write the sample photos and `questions.jsonl` (photo, question, answer) into `out`."""
    return _write(
        list(sample_rows()), out / "questions.jsonl", out, ("photo", "question", "answer")
    )


def _write(rows: list[Row], file: Path, photos: Path, only: tuple[str, ...] = ()) -> int:
    photos.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as lines:
        for row in rows:
            fields = row.fields()
            kept = {name: fields[name] for name in only or fields}
            lines.write(json.dumps(kept) + "\n")
    scenes = {row.photo: row.scene for row in rows}
    for name, scene in scenes.items():
        (photos / name).write_bytes(draw_jpeg(scene))
    return len(scenes)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Write the demo bank's annotations and photos.")
    parser.add_argument("--out", type=Path, help="folder for annotations.jsonl and photos/")
    parser.add_argument("--photos", type=Path, help="folder for the sample photos")
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    arguments = parser.parse_args()
    if arguments.out:
        print(write_bank(arguments.out, arguments.examples), "photos in", arguments.out)
    if arguments.photos:
        print(write_samples(arguments.photos), "photos in", arguments.photos)


if __name__ == "__main__":
    main()
