"""A bundle's source: the YAML file that names its checkpoints, language model and examples."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle import OpenAiPart
from packing.errors import PackingError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Checkpoint(_Strict):
    """A repository of the Hugging Face hub."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(default="main", min_length=1, pattern=r"^[\w./-]+$")
    """Branch, tag or commit; the bundle records the commit."""


class Examples(_Strict):
    """Solved questions as `admirer bank build` reads them; paths are relative to the source."""

    annotations: str = Field(min_length=1)
    photos: str | None = Field(default=None, min_length=1)


class Source(_Strict):
    """What `admirer bundle build` makes a bundle of."""

    name: str = Field(pattern=r"^[\w.-]+$")
    version: str = Field(min_length=1)
    captioner: Checkpoint
    tagger: Checkpoint
    clip: Checkpoint
    answerer: Checkpoint | OpenAiPart
    bank: Examples | None = None

    def checkpoints(self) -> dict[str, Checkpoint]:
        """Return the parts that are repositories, by name."""
        parts = {"captioner": self.captioner, "tagger": self.tagger, "clip": self.clip}
        if isinstance(self.answerer, Checkpoint):
            parts["answerer"] = self.answerer
        return parts


def read_source(file: Path) -> Source:
    """Read a source.

    Raises:
        PackingError: There is no such file, or it is not a source.
    """
    try:
        return Source.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except FileNotFoundError:
        raise PackingError(f"{file}: no such source") from None
    except IsADirectoryError:
        raise PackingError(f"{file} is a folder; a source is a YAML file") from None
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(key) for key in each['loc'])}: {each['msg']}"
            for each in error.errors()[:3]
        )
        raise PackingError(f"{file} is not a source: {wrong}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PackingError(f"{file} is not a source: {error}") from None
