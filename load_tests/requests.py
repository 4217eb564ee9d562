"""Requests as bytes on the wire: forms with photos, as browsers and scripts send them."""

import struct
import zlib
from typing import NamedTuple

from load_tests import checks
from load_tests.checks import Check
from load_tests.client.messages import Fields, form
from load_tests.client.questions import Question
from load_tests.limits import ANSWERS, BAD

_PIXELS_OF_EDGE = 30_000


class Post(NamedTuple):
    """One request: where it goes, the row that counts it, and what its reply must be."""

    path: str
    name: str
    fields: Fields
    check: Check

    def encoded(self) -> tuple[bytes, str]:
        """Return the form and its content type."""
        return form(self.fields)


def ask(jpeg: bytes, question: Question, check: Check, name: str = ANSWERS) -> Post:
    """Return a question about a photo."""
    return Post(ANSWERS, name, (("image", jpeg), ("question", question.text)), check)


def bad_requests(jpeg: bytes) -> tuple[Post, ...]:
    """Return what cannot be answered, each with the problem that it must be told."""

    def post(check: Check, image: bytes, question: str, **more: str) -> Post:
        return Post(ANSWERS, BAD, (("image", image), ("question", question), *more.items()), check)

    # Half a photo has a whole header: only who decodes it finds out.
    return (
        post(checks.problem(422, "bad_image"), jpeg[: len(jpeg) // 2], "what is it?"),
        post(checks.problem(422, "bad_image"), b"not a photo", "what is it?"),
        post(checks.problem(422, "bad_question"), jpeg, " "),
        post(checks.problem(400, "bad_request"), jpeg, "what is it?", colour="red"),
        post(checks.problem(413, "image_too_large"), endless_png(), "what is it?"),
    )


def endless_png() -> bytes:
    """Return a PNG (W3C PNG, 11.2) of a hundred bytes that claims 900 million pixels."""
    header = struct.pack(">IIBBBBB", _PIXELS_OF_EDGE, _PIXELS_OF_EDGE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
