"""The real graph on a real local Ray, with models whose work can be counted and steered.

A folder is the only channel to the replicas: they append what they do to `done`, and read
from `behaviour.json` how slow or broken to be. Runs until its standard input is closed.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import serve as ray_serve
from ray.serve.schema import LoggingConfig

from bank.examples import Example
from bank.index import ExampleBank
from bank.vectors import BankVectors, MadeBy
from deployments.language_models import RemoteModel
from deployments.messages import Message
from deployments.retriever import Retrieval
from deployments.telemetry.metrics import LLM_RETRIES, Meters
from models.chat import Completion
from models.chat.openai import OpenAIChat
from models.tagging import Tag
from serve.app import Loaders, bind
from serve.settings import AppSettings

DIMENSION = 4


@dataclass(frozen=True)
class Stage:
    """What one fake model does when it runs."""

    folder: Path
    name: str

    def note(self, what: str) -> None:
        with (self.folder / "done").open("a") as done:
            done.write(f"{self.name} {what}\n")

    def behaviour(self) -> dict[str, Any]:
        everyone: dict[str, dict[str, Any]] = json.loads(
            (self.folder / "behaviour.json").read_text()
        )
        return everyone.get(self.name, {})

    def run(self) -> None:
        self.note(f"ran {os.getpid()}")
        behaviour = self.behaviour()
        time.sleep(behaviour.get("delay_s", 0))
        if "error" in behaviour:
            raise RuntimeError(behaviour["error"])


@dataclass(frozen=True)
class FakeCaptioner:
    stage: Stage

    def caption(self, photos: Sequence[Any]) -> list[str]:
        if photos[0].any():  # not the warm-up
            self.stage.run()
        return [f"a photo {photo.shape[1]} wide" for photo in photos]

    def caption_ids(self, photos: Sequence[Any]) -> list[list[int]]:
        raise NotImplementedError


@dataclass(frozen=True)
class FakeTagger:
    stage: Stage

    def tag(self, photos: Sequence[Any]) -> list[tuple[Tag, ...]]:
        if photos[0].any():
            self.stage.run()
        return [(Tag("mug", 0.9, (0, 0, 8, 8)), Tag("cat", 0.8, (8, 0, 16, 8))) for _ in photos]


@dataclass(frozen=True)
class FakeClip:
    stage: Stage

    def embed_photos(self, photos: Sequence[Any]) -> Any:
        if photos[0].any():
            self.stage.run()
        return np.eye(DIMENSION, dtype=np.float32)[[0] * len(photos)]

    def embed_texts(self, texts: Sequence[str]) -> Any:
        return np.eye(DIMENSION, dtype=np.float32)[[1] * len(texts)]


@dataclass(frozen=True)
class FakeLanguageModel:
    stage: Stage
    meters: Meters
    name: str = "fake"

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Completion:
        self.stage.note(f"started {os.getpid()}")
        behaviour = self.stage.behaviour()
        try:
            if server := behaviour.get("server"):
                return await self._far_away(server).complete(messages, timeout_s)
            await asyncio.sleep(behaviour.get("delay_s", 0))
        except asyncio.CancelledError:
            self.stage.note("cancelled")
            raise
        self.stage.note(f"ran {timeout_s > 0}")
        # As if each prompt had been sent twice: only a server far away makes it so.
        self.meters.record(LLM_RETRIES, labels={"model": self.name})
        return Completion(messages[-1].content.splitlines()[-1], len(messages), 1, 0.001)

    def _far_away(self, server: str) -> RemoteModel:
        """The real client of a server, with the retries of its default settings."""
        return RemoteModel(
            OpenAIChat(
                base_url=server,
                api_key="key",
                model=self.name,
                timeout_s=20,
                max_retries=2,
                temperature=0,
                max_new_tokens=8,
            )
        )

    def check_health(self) -> None:
        """Return."""


def fake_bank() -> ExampleBank:
    vectors = np.eye(DIMENSION, dtype=np.float32)
    rows = np.arange(DIMENSION, dtype=np.int32)
    return ExampleBank(
        [Example(f"e{row}", "a room", ("mug",), f"what is {row}?", str(row)) for row in rows],
        BankVectors(vectors, np.zeros((4, 64), np.uint8), vectors, rows, rows, MadeBy("fake", "1")),
    )


def fakes(folder: Path) -> Loaders:
    return Loaders(
        captioner=lambda *_: FakeCaptioner(Stage(folder, "captioner")),
        tagger=lambda *_: FakeTagger(Stage(folder, "tagger")),
        retriever=lambda *_: Retrieval(FakeClip(Stage(folder, "retriever")), fake_bank()),
        answerer=lambda _, __, meters: FakeLanguageModel(Stage(folder, "answerer"), meters),
    )


def main(folder: Path, port: int, metrics_port: int, settings: AppSettings) -> None:
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _metrics_export_port=metrics_port,
        object_store_memory=100 * 1024 * 1024,
    )
    ray_serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    # As in serve/config: without Ray's own line for every call of a stage.
    logs = LoggingConfig(encoding="JSON", logs_dir=str(folder / "logs"), enable_access_log=False)
    ray_serve.run(bind(settings, fakes(folder)), name="admirer", logging_config=logs)
    (folder / "ready").touch()
    sys.stdin.read()
    ray_serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        AppSettings.model_validate(json.loads(sys.argv[4])),
    )
