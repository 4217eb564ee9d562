"""The five stages in this one process: the same classes and the same order of work, without Ray.

Used where one person asks, or a script: loading takes seconds, and there is no server to start.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployments.answerer import Answerer
from deployments.assembler import Assembler
from deployments.captioner import Captioner
from deployments.retriever import Retriever
from deployments.tagger import Tagger
from serve.pipeline import Pipeline
from serve.settings import AppSettings

CHECKOUT = Path(__file__).parents[1]


def settings_of(arguments: Mapping[str, Any], bundle: str | None) -> AppSettings:
    """Return the app's settings, with the bundle as an absolute path.

    A relative path counts from the working folder or, where nothing is there, from the
    checkout, so that the demo bundle is found from anywhere.

    Args:
        arguments: Those of a Serve config file; the environment overrides them.
        bundle: Overrides both.

    Raises:
        ValueError: A setting does not exist or is out of bounds.
    """
    settings = AppSettings(**arguments)
    place = Path(bundle or settings.bundle)
    if not place.exists() and (CHECKOUT / place).exists():
        place = CHECKOUT / place
    return settings.model_copy(update={"bundle": str(place.absolute())})


def local_pipeline(settings: AppSettings) -> Pipeline:
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
