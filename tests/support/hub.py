"""A server of the Hugging Face hub's HTTP API, as far as the real client downloads through it.

It serves a folder of repositories, `<owner>/<name>/<files>`: revision info, the file tree, and
`resolve` with ETag, Range and, for large files, LFS's headers and a redirect to another origin.
Faults are planned beforehand; what was asked is kept.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LFS_ENDINGS = (".bin", ".safetensors", ".onnx")


@dataclass
class Fault:
    """What goes wrong with requests whose path ends so."""

    ends: str
    status: int = 0
    """Answer this instead."""
    retry_after_s: int | None = None
    cut_at: int | None = None
    """Close the connection after so many bytes of the body."""
    spoil: bool = False
    """Send other bytes, as many."""
    times: int = 1
    method: str = "GET"


@dataclass(frozen=True)
class Asked:
    """A request that came; `origin` is `hub`, or `store` for the bytes of large files."""

    origin: str
    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass(frozen=True)
class StoredFile:
    """A file of a repository."""

    path: Path
    name: str

    @cached_property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @property
    def is_lfs(self) -> bool:
        return self.name.endswith(LFS_ENDINGS)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def blob_id(self) -> str:
        """Return git's id of the file, which is that of the pointer where LFS keeps the bytes."""
        data = self.data
        if self.is_lfs:
            data = (
                "version https://git-lfs.github.com/spec/v1\n"
                f"oid sha256:{self.sha256}\nsize {len(self.data)}\n"
            ).encode()
        return hashlib.sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.blob_id

    def described(self) -> dict[str, Any]:
        about: dict[str, Any] = {"size": len(self.data)}
        if self.is_lfs:
            about["lfs"] = {"sha256": self.sha256, "size": len(self.data), "pointerSize": 134}
        return about


@dataclass
class Hub:
    """The repositories under `root`; each has one commit, made of its files, on `main`."""

    root: Path
    url: str = ""
    store_url: str = ""
    gated: dict[str, str] = field(default_factory=dict)
    """The token that opens a repository."""
    tags: dict[str, str] = field(default_factory=dict)
    """Tag, of every repository, to the branch or commit that it is."""
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def files(self, repo: str) -> dict[str, StoredFile]:
        folder = self.root / repo
        return {
            name: StoredFile(file, name)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
            for name in [file.relative_to(folder).as_posix()]
        }

    def commit(self, repo: str) -> str:
        content = [f"{name} {file.blob_id}" for name, file in self.files(repo).items()]
        return hashlib.sha1("\n".join(content).encode(), usedforsecurity=False).hexdigest()

    def paths(self, method: str = "GET", origin: str = "hub") -> list[str]:
        return [each.path for each in self.asked if (each.method, each.origin) == (method, origin)]

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times and fault.method == method and path.endswith(fault.ends):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    """What both origins share: faults, ranges and JSON."""

    protocol_version = "HTTP/1.1"
    hub: Hub
    origin = "hub"

    def do_GET(self) -> None:
        self._take()

    def do_HEAD(self) -> None:
        self._take()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _take(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = self.headers
        self.hub.asked.append(
            Asked(self.origin, self.command, path, headers["Range"], headers["Authorization"])
        )
        self.fault = self.hub.take_fault(self.command, path)
        if self.fault and self.fault.status:
            wait = self.fault.retry_after_s
            self._send(self.fault.status, b"", {} if wait is None else {"Retry-After": str(wait)})
        else:
            self._answer(path)

    def _answer(self, path: str) -> None:
        raise NotImplementedError

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_bytes(self, data: bytes, headers: dict[str, str]) -> None:
        fault = self.fault or Fault("")
        if fault.spoil:
            data = bytes(byte ^ 1 for byte in data[:64]) + data[64:]
        status, start = 200, 0
        if wanted := self.headers["Range"]:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            status = 206
            headers = headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        body = data[start:]
        if fault.cut_at is None:
            self._send(status, body, {"Accept-Ranges": "bytes", **headers})
            return
        self._send(status, body[: fault.cut_at], headers | {"Content-Length": str(len(body))})
        self.close_connection = True


class _StoreHandler(_Handler):
    """Where the hub keeps large files: another origin, asked without a token."""

    origin = "store"

    def _answer(self, path: str) -> None:
        _, owner, name, _, file = path.split("/", 4)
        found = self.hub.files(f"{owner}/{name}")[file]
        self._send_bytes(found.data, {"ETag": f'"{found.sha256}"'})


class _HubHandler(_Handler):
    def _answer(self, path: str) -> None:
        repo, rest = self._repository(path)
        kind, revision, file = [*rest.split("/", 2), "", ""][:3]
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if not self.hub.files(repo):
            self._refuse(401, "RepoNotFound")
        elif token != self.hub.gated.get(repo, token) and kind == "resolve":
            self._refuse(403 if token else 401, "GatedRepo")
        elif not self._is_known(repo, revision or "main"):
            self._refuse(404, "RevisionNotFound")
        elif kind == "resolve":
            self._resolve(repo, file)
        else:
            self._describe(repo, kind)

    @staticmethod
    def _repository(path: str) -> tuple[str, str]:
        """Split `/api/models/<owner>/<name>/<rest>` or `/<owner>/<name>/<rest>`."""
        owner, name, *rest = path.removeprefix("/api/models").strip("/").split("/", 2)
        return f"{owner}/{name}", "".join(rest)

    def _is_known(self, repo: str, revision: str) -> bool:
        revision = self.hub.tags.get(revision, revision)
        return revision in ("main", self.hub.commit(repo))

    def _describe(self, repo: str, kind: str) -> None:
        files = self.hub.files(repo)
        body: Any
        if kind == "tree":
            body = [
                {"type": "file", "path": name, "oid": file.blob_id, **file.described()}
                for name, file in files.items()
            ]
        else:
            body = {
                "_id": "0" * 24,
                "id": repo,
                "sha": self.hub.commit(repo),
                "private": False,
                "gated": "manual" if repo in self.hub.gated else False,
                "tags": [],
                "cardData": _card(files.get("README.md")),
                "siblings": [
                    {"rfilename": name, "blobId": file.blob_id, **file.described()}
                    for name, file in files.items()
                ],
            }
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo: str, name: str) -> None:
        commit = {"X-Repo-Commit": self.hub.commit(repo)}
        file = self.hub.files(repo).get(name)
        if file is None:
            self._refuse(404, "EntryNotFound", commit)
        elif file.is_lfs:
            linked = {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.data))}
            place = {"Location": f"{self.hub.store_url}/{repo}/-/{name}"}
            self._send(302, b"", commit | linked | place)
        else:
            self._send_bytes(file.data, commit | {"ETag": f'"{file.etag}"'})

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"error": code}).encode()
        about = {"X-Error-Code": code, "X-Error-Message": code, "Content-Type": "application/json"}
        self._send(status, body, {**about, **(headers or {})})


def _card(readme: StoredFile | None) -> dict[str, str]:
    """Return the licence of a model card's front matter."""
    lines = [] if readme is None else readme.data.decode().splitlines()
    pairs: list[list[str]] = [line.split(": ", 1) for line in lines if line.startswith("license: ")]
    return dict(pairs)


@contextmanager
def running_hub(root: Path) -> Iterator[Hub]:
    """Serve the repositories under a folder on two ports of the loopback address."""
    hub = Hub(root)
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"hub": hub}))
        for handler in (_HubHandler, _StoreHandler)
    ]
    hub.url, hub.store_url = (f"http://127.0.0.1:{each.server_port}" for each in servers)
    threads = [threading.Thread(target=each.serve_forever, args=(0.05,)) for each in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()
