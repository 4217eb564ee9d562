"""`admirer ask`: send one question to a running server, or to the pipeline in this process.

Both use the HTTP API, so that answers and errors are parsed in one place; in-process requests go
to the ASGI app directly.
"""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from serve.settings import AppSettings

WAIT_S = 120.0


class AskError(Exception):
    """There is no answer; the message says why in one line."""


def ask_server(url: str, photo: Path, question: str, *, explain: bool) -> dict[str, Any]:
    """Return the answer of the server at `url`.

    Raises:
        AskError: The photo cannot be read, or there is no answer.
    """
    sent = _form(photo, question, explain=explain)
    return asyncio.run(_ask(httpx.AsyncHTTPTransport(), url, sent))


def ask_in_process(
    settings: AppSettings, photo: Path, question: str, *, explain: bool
) -> dict[str, Any]:
    """Return the answer of the bundle, which is loaded into this process.

    Raises:
        AskError: The photo or the bundle cannot be read, or there is no answer.
    """
    from bank.examples import BankError
    from models.bundle import BundleError
    from serve.api.fastapi_app import create_api
    from serve.in_process import load_pipeline

    sent = _form(photo, question, explain=explain)
    try:
        app = create_api(load_pipeline(settings), settings)
    except (BundleError, BankError, OSError, ValueError) as error:
        raise AskError(str(error)) from None
    return asyncio.run(_ask(httpx.ASGITransport(app), "http://here", sent))


def _form(photo: Path, question: str, *, explain: bool) -> dict[str, Any]:
    """Return the arguments of an httpx request; reads the photo before a bundle is loaded."""
    try:
        data = photo.read_bytes()
    except OSError as error:
        raise AskError(f"{photo}: {error.strerror}") from None
    return {
        "files": {"image": (photo.name, data)},
        "data": {"question": question, "explain": str(explain).lower()},
    }


async def _ask(
    transport: httpx.AsyncBaseTransport, url: str, sent: dict[str, Any]
) -> dict[str, Any]:
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url=url, timeout=WAIT_S, trust_env=False
        ) as client:
            response = await client.post("/v1/answers", **sent)
        body: dict[str, Any] = response.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AskError(f"{url} cannot be reached: {error}") from None
    except ValueError:
        raise AskError(f"{url} is not an admirer server") from None
    if not response.is_success or "answer" not in body:
        raise AskError(str(body.get("detail", f"status {response.status_code}")))
    return body


def print_answer(body: dict[str, Any], console: Console, *, explain: bool) -> None:
    """Print the answer and, with `explain`, caption, tags, examples, prompt and timings."""
    if explain:
        console.print(_explanation(body))
    console.print(Text(body["answer"], style="bold"))
    for stage in body["degraded"]:
        Console(stderr=True).print(f"The {stage} failed; this answer was made without it.")


def _explanation(body: dict[str, Any]) -> Group:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("caption", escape(body["caption"]))
    for tag in body["tags"]:
        box = " ".join(f"{edge:.0f}" for edge in tag["box"])
        facts.add_row("tag", escape(f"{tag['label']} {tag['score']:.2f} at {box}"))
    for example in body["examples"]:
        solved = f"{example['question']} {example['answer']}"
        facts.add_row("example", escape(f"{example['similarity']:.3f} {solved}"))
    for message in body["prompt"]:
        facts.add_row(message["role"], escape(message["content"]))
    timings = (f"{name} {ms:.1f}" for name, ms in body["timings_ms"].items())
    facts.add_row("ms", ", ".join(timings))
    facts.add_row("bundle", escape(body["bundle"]))
    return Group(facts)
