"""The unit of release: which captioner, tagger, CLIP, answerer and example bank belong together.

A bundle is one YAML file; each part is a folder beside it or a public checkpoint pinned to a
commit. Branches and tags are refused as revisions, since a bundle must always name the same
weights. Nothing is downloaded here: a checkpoint is read from the cache of the hub's client.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from models.manifest import MANIFEST, Manifest


class BundleError(Exception):
    """The bundle is invalid or incomplete on this machine; the message says what to do."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LocalPart(_Frozen):
    """A folder, relative to the bundle's file."""

    path: str = Field(min_length=1)


class HubPart(_Frozen):
    """A public checkpoint at one commit."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")


class OpenAiModel(_Frozen):
    """Name of a language model on a server with the OpenAI API."""

    model: str = Field(min_length=1)


class OpenAiPart(_Frozen):
    """A language model on a server; its URL and key are settings, not part of a release."""

    openai: OpenAiModel


@dataclass(frozen=True)
class SampleQuestion:
    """What is asked about one of the photos that a bundle comes with."""

    photo: Path
    text: str


Part = LocalPart | HubPart


class Bundle(_Frozen):
    """The models and examples that an app loads."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    version: str = Field(min_length=1)
    captioner: Part
    tagger: Part
    clip: Part
    answerer: LocalPart | HubPart | OpenAiPart
    bank: str | None = None
    """Folder of solved examples, relative to the bundle's file; none means no examples."""

    _home: Path = PrivateAttr(default=Path())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a bundle's YAML file, or bundle.yaml in a folder.

        Raises:
            BundleError: There is no such file, it is not a bundle, or its manifest does not fit.
        """
        file = Path(path)
        if file.is_dir():
            file = file / "bundle.yaml"
        try:
            bundle = cls.model_validate(yaml.safe_load(file.read_text("utf-8")))
        except FileNotFoundError:
            raise BundleError(f"{file}: no such bundle") from None
        except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
            raise BundleError(f"{file} is not a bundle: {error}") from error
        bundle._home = file.parent.resolve()
        if file.name == "bundle.yaml":
            _check_manifest(bundle._home)
        return bundle

    def folder(self, part: Part, *, models_dir: Path | None = None) -> Path:
        """Return the folder that holds the part's files.

        A hub checkpoint is searched in `models_dir`, or in the cache of the hub's client
        (HF_HUB_CACHE, or `hub` under HF_HOME).

        Raises:
            BundleError: It is not there.
        """
        if isinstance(part, LocalPart):
            folder = self._home / part.path
            if not folder.is_dir():
                raise BundleError(f"bundle {self.name}: {folder} is not there")
            return folder
        cache = models_dir or _hub_cache()
        folder = cache / f"models--{part.repo.replace('/', '--')}" / "snapshots" / part.revision
        if not folder.is_dir():
            raise BundleError(
                f"bundle {self.name}: {part.repo} at {part.revision} is not in {cache};"
                f" fetch it with `hf download {part.repo} --revision {part.revision}"
                f" --cache-dir {cache}`"
            )
        return folder

    def bank_folder(self) -> Path | None:
        """Return the folder of the example bank, or None where the bundle has none.

        Raises:
            BundleError: The bundle names one that is not there.
        """
        return None if self.bank is None else self.folder(LocalPart(path=self.bank))

    def sample_question(self) -> SampleQuestion | None:
        """Return the first question about the bundle's photos; None where it comes without any."""
        folder = self._home / "photos"
        try:
            with (folder / "questions.jsonl").open(encoding="utf-8") as lines:
                row = json.loads(next(lines))
            sample = SampleQuestion(folder / row["photo"], row["question"])
        except (OSError, StopIteration, ValueError, KeyError, TypeError):
            return None
        return sample if sample.photo.is_file() else None

    def revisions(self) -> dict[str, str]:
        """Return each part's revision: `repo@commit`, `bundle/path@version`, or a model's name."""
        parts = {
            "captioner": self.captioner,
            "tagger": self.tagger,
            "clip": self.clip,
            "answerer": self.answerer,
        }
        return {stage: _words(part, self) for stage, part in parts.items()}


def _check_manifest(folder: Path) -> None:
    try:
        manifest = Manifest.load(folder)
    except (ValueError, OSError) as error:
        raise BundleError(f"{folder / MANIFEST} is not a manifest: {error}") from error
    wrong = manifest.misfit(folder) if manifest else None
    if wrong:
        raise BundleError(f"{wrong}; build the bundle again, or copy it again")


def _words(part: LocalPart | HubPart | OpenAiPart, bundle: Bundle) -> str:
    if isinstance(part, HubPart):
        return f"{part.repo}@{part.revision}"
    if isinstance(part, OpenAiPart):
        return part.openai.model
    return f"{bundle.name}/{part.path}@{bundle.version}"


def _hub_cache() -> Path:
    """Return the cache folder of the hub's client."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(os.environ.get("HF_HOME", default)).expanduser() / "hub"
