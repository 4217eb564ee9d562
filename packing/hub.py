"""What a repository of the hub holds at one commit, and its files, checked.

`huggingface_hub` downloads into its own cache and obeys HF_HOME, HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE. It goes on where a connection broke, and keeps finished files from one run to the
next; it never compares a file with the hash that the hub announces, so that is done here.
"""

import errno
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from packing.errors import PackingError
from packing.source import Checkpoint

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

TRIES = 5
LONGEST_WAIT_S = 300.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file, and what the hub announces of it."""

    name: str
    size: int
    digest: str
    """sha256 of a file in LFS (64 digits), or else git's id of the blob (sha1, 40 digits)."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit."""

    part: str
    """Part of the bundle, for messages."""
    repo: str
    revision: str
    commit: str
    licence: str | None
    files: dict[str, HubFile]
    """By name; those in folders too."""

    def __str__(self) -> str:
        return f"{self.part} ({self.repo})"


def is_commit(revision: str) -> bool:
    """Return whether a revision is a commit, which never moves."""
    return _COMMIT.fullmatch(revision) is not None


def look_up(part: str, checkpoint: Checkpoint) -> Repository:
    """Ask the hub which commit a revision is, and what it holds.

    With HF_HUB_OFFLINE=1 that is what the cache has.

    Raises:
        PackingError: The repository or revision is not there or not open to us, or no hub answers.
    """
    from huggingface_hub import HfApi, constants

    name = f"{part} ({checkpoint.repo})"
    if constants.is_offline_mode():
        return _cached(part, checkpoint)
    api = HfApi()
    info: ModelInfo = _patiently(
        lambda: api.model_info(
            checkpoint.repo, revision=checkpoint.revision, files_metadata=True, timeout=30
        ),
        name,
        checkpoint.revision,
    )
    if info.sha is None:
        raise PackingError(f"{name}: the hub names no commit for {checkpoint.revision}")
    files = {
        each.rfilename: HubFile(
            each.rfilename,
            each.lfs.size if each.lfs else each.size or 0,
            each.lfs.sha256 if each.lfs else each.blob_id or "",
        )
        for each in info.siblings or []
    }
    licence = None if info.card_data is None else _licence(info.card_data.to_dict())
    return Repository(part, checkpoint.repo, checkpoint.revision, info.sha, licence, files)


def fetch(repository: Repository, file: HubFile) -> Path:
    """Return the file in the hub client's cache, downloaded where it is missing, and checked.

    Raises:
        PackingError: It cannot be had, or has another hash than the hub announces; the cache
            then keeps nothing of it.
    """
    from huggingface_hub import hf_hub_download

    place = Path(
        _patiently(
            lambda: hf_hub_download(repository.repo, file.name, revision=repository.commit),
            str(repository),
            repository.revision,
        )
    )
    found = digest_like(place, file.digest)
    if found != file.digest:
        place.resolve().unlink()
        place.unlink(missing_ok=True)
        raise PackingError(
            f"{repository}: {file.name} has the hash {found[:12]}, and the hub announces"
            f" {file.digest[:12]}; it was removed from the cache: build again"
        )
    return place


def is_cached(repository: Repository, file: HubFile) -> bool:
    """Return whether the cache has the file."""
    from huggingface_hub import try_to_load_from_cache

    place = try_to_load_from_cache(repository.repo, file.name, revision=repository.commit)
    return isinstance(place, str)


def digest_like(file: Path, announced: str) -> str:
    """Return the file's hash, of the kind that was announced."""
    if len(announced) == 64:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    blob = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    with file.open("rb") as data:
        while block := data.read(1 << 20):
            blob.update(block)
    return blob.hexdigest()


def _cached(part: str, checkpoint: Checkpoint) -> Repository:
    """Describe what the cache holds; its files are named by their hashes."""
    from huggingface_hub import metadata_load, try_to_load_from_cache

    place = try_to_load_from_cache(checkpoint.repo, "config.json", revision=checkpoint.revision)
    if not isinstance(place, str):
        raise PackingError(
            f"{part} ({checkpoint.repo}): {checkpoint.revision} is not in the cache, and"
            " HF_HUB_OFFLINE is set; unset it to download"
        )
    folder = Path(place).parent
    files = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            name, digest = file.relative_to(folder).as_posix(), file.resolve().name
            if not _DIGEST.fullmatch(digest):
                raise PackingError(f"{part} ({checkpoint.repo}): the cache holds no hash of {name}")
            files[name] = HubFile(name, file.stat().st_size, digest)
    card = folder / "README.md"
    licence = _licence(metadata_load(card) or {}) if card.is_file() else None
    return Repository(part, checkpoint.repo, checkpoint.revision, folder.name, licence, files)


def _licence(card: dict[str, object]) -> str | None:
    named = card.get("license_name") if card.get("license") == "other" else None
    licence = named or card.get("license")
    return None if licence is None else str(licence)


def _patiently(call: Callable[[], _Result], part: str, revision: str) -> _Result:
    """Call again where the hub asks for patience or fails on its side."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import logging

    # What the client says of its own tries would stand between our lines.
    logging.set_verbosity_error()
    for tries in range(1, TRIES + 1):
        try:
            return call()
        except (OSError, httpx2.HTTPError) as error:
            cause = _http_error(error)
            is_passing = isinstance(cause, HfHubHTTPError) and (
                cause.response.status_code == 429 or cause.response.status_code >= 500
            )
            if tries == TRIES or not is_passing:
                _explain(error, cause, part, revision)
            time.sleep(_wait_s(cause, tries))
    raise AssertionError("unreachable")


def _http_error(error: BaseException) -> BaseException:
    """Return what the client's `cannot find the file` stands for."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    is_cover = isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None
    return error.__cause__ or error if is_cover else error


def _wait_s(error: BaseException, tries: int) -> float:
    response = getattr(error, "response", None)
    asked = "" if response is None else response.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_WAIT_S) if asked.isdigit() else float(2 ** (tries - 1))


def _explain(error: BaseException, cause: BaseException, part: str, revision: str) -> NoReturn:
    """Raise the one line that says what to do."""
    import httpx2
    from huggingface_hub import constants, errors

    fixes: list[tuple[type[BaseException], str]] = [
        (
            errors.GatedRepoError,
            "is gated: accept its terms on the hub, and set HF_TOKEN to a token of that account",
        ),
        (
            errors.RepositoryNotFoundError,
            "is not on the hub under this name, or it is private and HF_TOKEN has no access",
        ),
        (
            errors.RevisionNotFoundError,
            f"has no branch, tag or commit {revision}: correct `revision` in the source",
        ),
        (errors.RemoteEntryNotFoundError, "lists a file that the hub then does not have"),
        (
            errors.OfflineModeIsEnabled,
            "is not whole in the cache, and HF_HUB_OFFLINE is set; unset it to download",
        ),
        (
            httpx2.TransportError,
            f"cannot be reached at {constants.ENDPOINT} ({cause}); what is in the cache can be"
            " built with HF_HUB_OFFLINE=1",
        ),
    ]
    for kind, fix in fixes:
        if isinstance(cause, kind):
            raise PackingError(f"{part} {fix}") from None
    if isinstance(cause, errors.HfHubHTTPError):
        status = cause.response.status_code
        raise PackingError(f"{part}: the hub answers {status}; try again later") from None
    if isinstance(error, errors.LocalEntryNotFoundError):
        raise PackingError(
            f"{part} is not whole in the cache, and HF_HUB_OFFLINE is set; unset it to download"
        ) from None
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise PackingError(
            f"{part}: the disk of {constants.HF_HUB_CACHE} is full; free some, or set HF_HOME"
        ) from None
    line = " ".join(str(error).split())
    raise PackingError(f"{part}: {line}; build again to go on") from None
