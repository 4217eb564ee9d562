"""The five stages in this one process, without Ray or queues between them.

`load_pipeline` gives them one question at a time, as the API asks; `load_stages` gives the same
models, bank and assembler many photos and prompts at a time, as evaluation and benchmarks do.
Loading takes seconds, and there is no server to start.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bank.examples import Similarity
from bank.fingerprints import Fingerprint, fingerprint
from bank.index import ExampleBank
from deployments.answerer import Answerer
from deployments.assembler import Assembler, assemble
from deployments.captioner import Captioner, load_captioner
from deployments.language_models import turns
from deployments.messages import Example, Prompt, Tag
from deployments.retriever import Retriever, load_retriever
from deployments.tagger import Tagger, load_tagger
from models.bundle import Bundle, BundleError, OpenAiPart
from models.captioning import CaptionModel
from models.chat import ChatModel
from models.chat import load as load_chat
from models.clip import ClipModel
from models.pixels import Rgb
from models.settings import EngineSettings
from models.tagging import TagModel
from serve.pipeline import Pipeline
from serve.settings import AppSettings


def load_pipeline(settings: AppSettings) -> Pipeline:
    """Load the bundle that the settings name, and return its pipeline.

    Raises:
        BundleError: The bundle, or a part of it, is not on this machine.
        BankError: Its example bank is damaged.
    """
    bundle = settings.bundle
    captioner = Captioner(settings.captioner, bundle)
    tagger = Tagger(settings.tagger, bundle)
    retriever = Retriever(settings.retriever, bundle)
    assembler = Assembler(settings.assembler)
    answerer = Answerer(settings.answerer, bundle)
    return Pipeline(
        caption=captioner.caption,
        tag=tagger.tag,
        retrieve=retriever.retrieve,
        assemble=assembler.assemble,
        answer=answerer.answer,
        embed=retriever.embed,
        degrade=settings.degrade,
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """Results of the stages for one photo."""

    caption: str
    tags: tuple[Tag, ...]
    vector: NDArray[np.float32]
    print: Fingerprint


@dataclass(frozen=True)
class Stages:
    """A loaded bundle, run on many items at a time in the caller's thread."""

    settings: AppSettings
    captioner: CaptionModel
    tagger: TagModel
    clip: ClipModel
    bank: ExampleBank
    chat: ChatModel

    def see(self, photos: Sequence[Rgb]) -> list[Seen]:
        """Return caption, tags and vector of each photo.

        The tagger gets no more at a time than in the app, which says how many fit into memory;
        the others get all.
        """
        size = self.settings.tagger.batch.max_size
        starts = range(0, len(photos), size)
        tags = [each for at in starts for each in self.tagger.tag(photos[at : at + size])]
        captions = self.captioner.caption(photos)
        vectors = self.clip.embed_photos(photos)
        return list(map(Seen, captions, tags, vectors, map(fingerprint, photos)))

    def find(
        self, seen: Sequence[Seen], questions: Sequence[str], k: int, similarity: Similarity
    ) -> list[tuple[Example, ...]]:
        """Return the `k` examples most similar to each photo and its question."""
        texts = list(dict.fromkeys(questions))
        size = self.settings.retriever.batch.max_size
        starts = range(0, len(texts), size)
        vectors = [each for at in starts for each in self.clip.embed_texts(texts[at : at + size])]
        vector_of = dict(zip(texts, vectors, strict=True))
        return [
            self.bank.search(
                photo.vector,
                vector_of[question],
                k,
                similarity,
                photo=photo.print,
                question=question,
            )
            for photo, question in zip(seen, questions, strict=True)
        ]

    def prompt(
        self, caption: str, labels: Sequence[str], question: str, examples: Sequence[Example]
    ) -> Prompt:
        """Return the prompt for one question; labels are left to right."""
        return assemble(
            self.settings.assembler,
            caption=caption,
            tags=labels,
            question=question,
            examples=examples,
        )

    def answer(self, prompts: Sequence[Prompt]) -> list[str]:
        """Return the answer to each prompt, all in one run of the language model."""
        chats = [turns(prompt.messages) for prompt in prompts]
        most = self.settings.answerer.max_new_tokens
        return [each.text for each in self.chat.complete(chats, max_new_tokens=most)]


def load_stages(settings: AppSettings, engine: EngineSettings) -> Stages:
    """Load the bundle that the settings name, every model on `engine`.

    Raises:
        BundleError: A part is not on this machine, or the answerer runs elsewhere.
        BankError: The bank is damaged, or was made with another CLIP.
    """
    place, on = settings.bundle, {"engine": engine}
    bundle = Bundle.load(place)
    if isinstance(bundle.answerer, OpenAiPart):
        raise BundleError(f"bundle {bundle.name}: its answerer runs behind an API, at a price")
    retrieval = load_retriever(place, settings.retriever.model_copy(update=on))
    return Stages(
        settings=settings,
        captioner=load_captioner(place, settings.captioner.model_copy(update=on)),
        tagger=load_tagger(place, settings.tagger.model_copy(update=on)),
        clip=retrieval.model,
        bank=retrieval.bank,
        chat=load_chat(bundle.folder(bundle.answerer), engine),
    )
