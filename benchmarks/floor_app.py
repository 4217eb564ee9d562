"""The app with stages that do nothing, over either of Ray Serve's transports.

Started by `benchmarks.floor` with the options that `admirer serve` takes. Ingress, pipeline, calls,
batchers and metrics are the app's own; only the models are not there.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import yaml

from bank.index import ExampleBank
from deployments.messages import Message
from deployments.retriever import Retrieval
from deployments.settings import (
    AnswererSettings,
    CaptionerSettings,
    RetrieverSettings,
    TaggerSettings,
)
from deployments.telemetry.metrics import Meters
from models.chat import Completion
from models.clip import Vectors
from models.pixels import Rgb
from models.tagging import Tag
from serve.cli.launcher import wait_for_signal
from serve.cli.local_ray import local_ray, prepare
from serve.cli.ray_environment import Transport, environment
from serve.local_settings import settings_of


class Nothing:
    """Every model at once, each as fast as can be."""

    name = "nothing"

    def caption(self, photos: Sequence[Rgb]) -> list[str]:
        """Say nothing of each photo."""
        return [""] * len(photos)

    def caption_ids(self, photos: Sequence[Rgb]) -> list[list[int]]:
        """Say nothing of each photo."""
        return [[]] * len(photos)

    def tag(self, photos: Sequence[Rgb]) -> list[tuple[Tag, ...]]:
        """See nothing in each photo."""
        return [()] * len(photos)

    def embed_photos(self, photos: Sequence[Rgb]) -> Vectors:
        """Return vectors of length 1."""
        return np.ones((len(photos), 1), np.float32)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return vectors of length 1."""
        return np.ones((len(texts), 1), np.float32)

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Completion:
        """Answer nothing."""
        del messages, timeout_s
        return Completion("nothing", 0, 0)

    def check_health(self) -> None:
        """Return."""


def _captioner(bundle: str, settings: CaptionerSettings) -> Nothing:
    del bundle, settings
    return Nothing()


def _tagger(bundle: str, settings: TaggerSettings) -> Nothing:
    del bundle, settings
    return Nothing()


def _retriever(bundle: str, settings: RetrieverSettings) -> Retrieval:
    """Search nothing, which also spares the photo's decoding: this stage is a hop and no more."""
    del bundle, settings
    return Retrieval(Nothing(), ExampleBank.empty())


def _answerer(bundle: str, settings: AnswererSettings, meters: Meters) -> Nothing:
    del bundle, settings, meters
    return Nothing()


def main(
    word: Annotated[str, typer.Argument(help="Always serve.")],
    config: Annotated[Path, typer.Option()],
    bundle: Annotated[str, typer.Option()],
    port: Annotated[int, typer.Option()],
    transport: Annotated[str, typer.Option()] = "haproxy",
) -> None:
    """Serve until SIGINT."""
    del word
    _prepare("default" if transport == "default" else "haproxy")
    from serve.app import Loaders, bind  # it imports Ray, which reads what was prepared

    written = yaml.safe_load(config.read_text("utf-8"))
    (application,) = written["applications"]
    settings = settings_of(application["args"], bundle)
    http, logging = written["http_options"] | {"port": port}, written["logging_config"]
    loaders = Loaders(_captioner, _tagger, _retriever, _answerer)
    with local_ray(http, logging):
        from ray import serve as ray_serve

        ray_serve.run(bind(settings, loaders), route_prefix="/", logging_config=logging)
        wait_for_signal()


def _prepare(transport: Transport) -> None:
    prepare()
    for name in environment("haproxy").keys() - environment(transport).keys():
        os.environ.pop(name)


if __name__ == "__main__":
    typer.run(main)
