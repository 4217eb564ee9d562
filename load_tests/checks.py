"""What is wrong with a reply, in one short sentence, or None.

A status says little: an empty caption comes with 200. Sentences hold no ids, because Locust counts
equal ones together.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from load_tests.client.messages import Reply
from load_tests.client.questions import Question

PROBLEM = "application/problem+json"
Check = Callable[[Reply], str | None]


def answer(question: Question, *, may_degrade: bool, any_answer: bool = False) -> Check:
    """Return the check of an answer to this question."""

    def content(body: Mapping[str, Any]) -> str | None:
        said = str(body.get("answer") or "").strip()
        if not said:
            return "the answer is empty"
        known = None if any_answer else question.answer
        if known is not None and said.casefold() != known.strip().casefold():
            return f"{question.text} {said!r}, but {known!r} is known"
        if not body.get("caption"):
            return "the caption is empty"
        degraded = body.get("degraded")
        if degraded is None:
            return "nothing says whether it is degraded"
        if degraded and not may_degrade:
            return f"degraded: without {', '.join(degraded)}"
        return None if degraded or body.get("tags") else "there are no tags"

    return _succeeded(content)


def caption() -> Check:
    """Return the check of a caption."""
    return _succeeded(lambda body: None if body.get("caption") else "the caption is empty")


def tags() -> Check:
    """Return the check of tags."""
    return _succeeded(lambda body: None if body.get("tags") else "there are no tags")


def embeddings(photos: int, texts: int) -> Check:
    """Return the check of the vectors of so many photos and texts."""

    def content(body: Mapping[str, Any]) -> str | None:
        of_photos, of_texts = body.get("images") or [], body.get("texts") or []
        if (len(of_photos), len(of_texts)) != (photos, texts):
            return "there is not one vector for each photo and text"
        lengths = {len(vector) for vector in [*of_photos, *of_texts]}
        return None if len(lengths) == 1 and 0 not in lengths else "vectors differ in length"

    return _succeeded(content)


def problem(status: int, code: str) -> Check:
    """Return the check of the problem document that a bad request deserves."""

    def check(reply: Reply) -> str | None:
        if reply.status != status:
            return f"status {reply.status} instead of {status}"
        if not reply.headers.get("content-type", "").startswith(PROBLEM):
            return "the error is not a problem document"
        body = reply.body()
        if body.get("code") != code:
            return f"code {body.get('code')} instead of {code}"
        return None if body.get("request_id") else "the problem has no request id"

    return check


def _succeeded(content: Callable[[Mapping[str, Any]], str | None]) -> Check:
    def check(reply: Reply) -> str | None:
        body = reply.body()
        if reply.status != HTTPStatus.OK:
            return f"status {reply.status} {body.get('code', 'without a problem document')}"
        if not body.get("id"):
            return "there is no id"
        if "total" not in reply.headers.get("server-timing", ""):
            return "there is no Server-Timing"
        return content(body)

    return check
