"""Caption and tag the photos of rows that have only a photo, a question and an answer.

A model takes seconds for a photo, so that a data set takes hours. What has been done is kept beside
the bank, a line a photo, until the bank is whole: whoever interrupts a build loses one batch.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bank.photo_files import StoredPhoto
from models import captioning, tagging
from models.bundle import Bundle
from models.pixels import Rgb
from models.settings import EngineSettings

BATCH = 8
MAX_CAPTION_TOKENS = 110
"""As the captioner's setting has it where nobody changed it."""

Progress = Callable[[int, int], None]
"""Called with the number of photos done and their total."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the captioner and the tagger say of a photo; labels are left to right."""

    caption: str
    tags: tuple[str, ...]


Describe = Callable[[Sequence[Rgb]], list[Description]]


def load_describer(bundle: Bundle, engine: EngineSettings) -> Describe:
    """Load the bundle's captioner and tagger.

    Raises:
        BundleError: One of them is not on this machine.
    """
    captioner = captioning.load(
        bundle.folder(bundle.captioner), engine, num_beams=1, max_new_tokens=MAX_CAPTION_TOKENS
    )
    tagger = tagging.load(bundle.folder(bundle.tagger), engine)

    def describe(photos: Sequence[Rgb]) -> list[Description]:
        labels = (tuple(tag.label for tag in tags) for tags in tagger.tag(photos))
        return list(map(Description, captioner.caption(photos), labels))

    return describe


def describers(bundle: Bundle) -> str:
    """Return the revisions of the bundle's captioner and tagger."""
    revisions = bundle.revisions()
    return f"{revisions['captioner']} {revisions['tagger']}"


def describe_photos(
    photos: Sequence[StoredPhoto],
    load: Callable[[], Describe],
    journal: Path,
    *,
    made_by: str,
    batch: int = BATCH,
    progress: Progress = lambda done, total: None,
) -> dict[StoredPhoto, Description]:
    """Describe distinct photos, but for those that `journal` has already.

    Args:
        photos: Each once.
        load: Loads the models; not called where nothing is left to do.
        journal: File of what is done, which the caller deletes once the bank is whole. One that
            other models began is begun again.
        made_by: Names the models.
        batch: Photos at a time.
        progress: Called once at the start, and after every batch.

    Raises:
        ValueError: A photo cannot be read.
        OSError: The journal cannot be written.
    """
    digest_of = {photo: photo.digest() for photo in photos}
    photo_of = {digest: photo for photo, digest in digest_of.items()}
    known = _read(journal, made_by)
    missing = [digest for digest in photo_of if digest not in known]
    progress(len(photo_of) - len(missing), len(photo_of))
    if missing:
        describe = load()
        with journal.open("a", encoding="utf-8") as lines:
            for start in range(0, len(missing), batch):
                some = missing[start : start + batch]
                described = describe([photo_of[digest]() for digest in some])
                known.update(zip(some, described, strict=True))
                for digest in some:
                    row = {"photo": digest, **asdict(known[digest])}
                    lines.write(json.dumps(row) + "\n")
                lines.flush()
                progress(len(photo_of) - len(missing) + start + len(some), len(photo_of))
    return {photo: known[digest] for photo, digest in digest_of.items()}


def _read(journal: Path, made_by: str) -> dict[str, Description]:
    """Return what a journal has of the same models, and leave the file ready to be continued.

    A line that was cut short by the interruption is dropped.
    """
    head = json.dumps({"made_by": made_by}) + "\n"
    try:
        stored = journal.read_text("utf-8", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        stored = []
    known: dict[str, Description] = {}
    kept = [head]
    for line in stored[1:] if stored[:1] == [head] else []:
        try:
            row = json.loads(line if line.endswith("\n") else "")
            known[row["photo"]] = Description(row["caption"], tuple(row["tags"]))
        except (ValueError, KeyError, TypeError):
            break
        kept.append(line)
    journal.parent.mkdir(parents=True, exist_ok=True)
    fresh = journal.with_name(f"{journal.name}.new")
    fresh.write_text("".join(kept), encoding="utf-8")
    fresh.replace(journal)
    return known
