"""The five stages over many photos at once.

The same models, bank search and assembler as the app's, without its queues: what the stages say
of a photo is computed once and used again for every question and every ablation.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bank.examples import Similarity
from bank.fingerprints import Fingerprint, fingerprint
from bank.index import ExampleBank
from bank.release import load_bank
from deployments.messages import Example, Prompt
from deployments.settings import AnswererSettings, CaptionerSettings, TaggerSettings
from models import captioning, chat, clip, tagging
from models.bundle import Bundle, BundleError, OpenAiPart
from models.captioning import CaptionModel
from models.chat import ChatModel
from models.clip import ClipModel
from models.photos import decode_jpeg
from models.settings import EngineSettings
from models.tagging import Tag, TagModel

BATCH = 16

BY_IMAGE_AND_QUESTION: Similarity = "image_question"
RANDOM: Similarity = "random"

Retrieved = Sequence[tuple[Example, ...]]
"""For each question the examples found, most similar first."""

Item = TypeVar("Item")
OpenPhoto = Callable[[], bytes]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Models:
    """What a bundle holds, loaded."""

    captioner: CaptionModel
    tagger: TagModel
    clip: ClipModel
    chat: ChatModel
    bank: ExampleBank


@dataclass(frozen=True)
class Seen:
    """What the stages make of one photo."""

    caption: str
    tags: tuple[Tag, ...]
    vector: NDArray[np.float32]
    print: Fingerprint


@dataclass(frozen=True)
class Asked:
    """A question about the photo at this place."""

    photo: int
    question: str


def load_models(bundle: Bundle, engine: EngineSettings) -> Models:
    """Load every model of the bundle as the app does, and its bank.

    Raises:
        BundleError: A part is not on this machine, or the answerer runs elsewhere.
        BankError: The bank is damaged, or was made with another CLIP.
    """
    if isinstance(bundle.answerer, OpenAiPart):
        raise BundleError(f"bundle {bundle.name}: its answerer runs behind an API, at a price")
    captioner, tagger = CaptionerSettings(), TaggerSettings()
    return Models(
        captioner=captioning.load(
            bundle.folder(bundle.captioner),
            engine,
            num_beams=captioner.num_beams,
            max_new_tokens=captioner.max_new_tokens,
        ),
        tagger=tagging.load(
            bundle.folder(bundle.tagger),
            engine,
            score_threshold=tagger.score_threshold,
            max_tags=tagger.max_tags,
        ),
        clip=clip.load(bundle.folder(bundle.clip), engine),
        chat=chat.load(bundle.folder(bundle.answerer), engine),
        bank=load_bank(bundle),
    )


def look_at(photos: Sequence[OpenPhoto], models: Models, progress: Progress) -> list[Seen]:
    """Return what captioner, tagger and CLIP make of photos that open as JPEG bytes."""
    seen: list[Seen] = []
    for batch in _batches(photos):
        arrays = [decode_jpeg(open_photo()) for open_photo in batch]
        seen += map(
            Seen,
            models.captioner.caption(arrays),
            models.tagger.tag(arrays),
            models.clip.embed_photos(arrays),
            map(fingerprint, arrays),
        )
        progress("photos", len(seen), len(photos))
    return seen


def retrieve(
    asked: Sequence[Asked],
    seen: Sequence[Seen],
    models: Models,
    k: int,
    progress: Progress,
    similarity: Similarity,
) -> Retrieved:
    """Return for each question the `k` examples that the retriever would find."""
    vectors = _embed_questions(asked, models.clip)
    found = []
    for one in asked:
        photo = seen[one.photo]
        found.append(
            models.bank.search(
                photo.vector,
                vectors[one.question],
                k,
                similarity,
                photo=photo.print,
                question=one.question,
            )
        )
        progress(f"examples ({similarity})", len(found), len(asked))
    return found


def answer(prompts: Sequence[Prompt], model: ChatModel, name: str, progress: Progress) -> list[str]:
    """Return the answer to each prompt, in order; prompts of like length run together."""
    by_length = sorted(
        range(len(prompts)), key=lambda i: sum(len(m.content) for m in prompts[i].messages)
    )
    answers = [""] * len(prompts)
    done = 0
    for places in _batches(by_length):
        chats = [[asdict(message) for message in prompts[i].messages] for i in places]
        completions = model.complete(chats, max_new_tokens=AnswererSettings().max_new_tokens)
        for place, completion in zip(places, completions, strict=True):
            answers[place] = completion.text
        done += len(places)
        progress(name, done, len(prompts))
    return answers


def _embed_questions(asked: Iterable[Asked], model: ClipModel) -> dict[str, NDArray[np.float32]]:
    texts = sorted({one.question for one in asked})
    return {
        text: vector
        for batch in _batches(texts)
        for text, vector in zip(batch, model.embed_texts(batch), strict=True)
    }


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
