"""A bundle's `manifest.json`: what each file is, and where it came from.

`admirer bundle build` writes it. Starting a server compares sizes only, which needs no reading;
`admirer bundle verify` compares contents.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

MANIFEST = "manifest.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Frozen):
    """One file of the bundle."""

    path: str = Field(min_length=1)
    """Relative to the bundle's folder, with `/`."""
    size: int = Field(ge=0)
    """Bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    origin: Literal["downloaded", "converted", "exported", "written"]
    """Downloaded as it is; weights in another form; an ONNX graph; of the bundle itself."""


class PartEntry(_Frozen):
    """Where the files of a part's folder came from."""

    repo: str
    revision: str
    """Branch, tag or commit that the source names."""
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    licence: str | None
    """As the model card says; None where it says nothing."""
    architecture: str
    parity: dict[str, float] = {}
    """Differences between the ONNX graphs and transformers on made photos or chats."""


class Manifest(_Frozen):
    """All of it."""

    format: Literal[1] = 1
    name: str
    version: str
    source: dict[str, object]
    """The source as it was read."""
    inputs: dict[str, str] = {}
    """sha256 of each local file that went into the bundle (annotations)."""
    parts: dict[str, PartEntry]
    tools: dict[str, str]
    """Version of each library that fetched, converted or exported."""
    files: tuple[FileEntry, ...]

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read the manifest of a bundle's folder; None where it has none.

        Raises:
            ValueError: It is not a manifest.
        """
        try:
            text = (folder / MANIFEST).read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls.model_validate_json(text)

    def misfit(self, folder: Path) -> str | None:
        """Return which file is missing or of another size, or None where all fit."""
        for entry in self.files:
            file = folder / entry.path
            if not file.is_file():
                return f"{file} is missing"
            size = file.stat().st_size
            if size != entry.size:
                return f"{file} has {size} bytes, and {MANIFEST} says {entry.size}"
        return None
