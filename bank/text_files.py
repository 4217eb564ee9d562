"""Read text files of any size: bounded lines, and the elements of large JSON documents.

Nothing here holds a whole file: the answers to VQAv2's training questions are 370 MB of one line.
"""

import codecs
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bank.examples import MAX_LINE_CHARACTERS, BankError

MAX_FILE_BYTES = 4_000_000_000
MAX_VALUE_CHARACTERS = 1_000_000
CHUNK_CHARACTERS = 1 << 20

_DECODER = json.JSONDecoder()
_BEHIND_VALUE = re.compile(r"[\s,:\]}]")
_BLANK = re.compile(r"[ \t\r\n]*")


@contextmanager
def open_text(file: Path) -> Iterator[TextIO]:
    """Open a file in UTF-8, or UTF-16 with a byte order mark.

    A byte that is not UTF-8 becomes a lone surrogate, which invalidates its row only.

    Raises:
        BankError: The file cannot be read, or is over `MAX_FILE_BYTES`.
    """
    try:
        with file.open("rb") as raw:
            start = raw.read(2)
        if file.stat().st_size > MAX_FILE_BYTES:
            raise BankError(f"{file} is over {MAX_FILE_BYTES} bytes")
        wide = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding, errors = ("utf-16", "replace") if wide else ("utf-8-sig", "surrogateescape")
        with file.open(encoding=encoding, errors=errors, newline="") as text:
            yield text
    except OSError as error:
        raise BankError(f"cannot read {file}: {error.strerror}") from None


def lines(text: TextIO) -> Iterator[str]:
    """Yield lines of bounded length; a longer one is truncated and its rest skipped."""
    while line := text.readline(MAX_LINE_CHARACTERS + 1):
        rest = line
        while len(rest) > MAX_LINE_CHARACTERS and not rest.endswith("\n"):
            rest = text.readline(MAX_LINE_CHARACTERS + 1)
        yield line


def json_elements(file: Path) -> Iterator[tuple[str, int, object]]:
    """Yield the elements of a JSON document's lists: their key, their number from 1, the element.

    The document is one list, whose key is "", or an object with lists in it; its other values are
    skipped.

    Raises:
        BankError: The file cannot be read, is not JSON, or has a value over `MAX_VALUE_CHARACTERS`.
    """
    with open_text(file) as text:
        document = _Document(text)
        try:
            yield from _lists(document)
            if document.sign():
                raise ValueError("more than one value")  # noqa: TRY301 - named with the others
        except RecursionError:
            raise BankError(f"{file} is not JSON: nested too deeply") from None
        except json.JSONDecodeError as error:
            raise BankError(f"{file} is not JSON{document.place}: {error.msg}") from None
        except ValueError as error:
            raise BankError(f"{file} is not JSON{document.place}: {error}") from None


class _Document:
    """A JSON document and the place up to which it has been read."""

    def __init__(self, text: TextIO) -> None:
        self._text, self._buffer, self._at, self._ended = text, "", 0, False
        self.place = ""
        """The element that is being read, for messages."""

    def sign(self) -> str:
        """Return the next character that is not blank, "" at the end, and stay before it."""
        while True:
            blank = _BLANK.match(self._buffer, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._ended:
                return ""
            self._read_on()

    def skip(self, signs: str) -> str:
        """Go past the next character and return it; it is one of `signs`."""
        sign = self.sign()
        if not sign or sign not in signs:
            raise ValueError(f"{sign or 'its end'} where {' or '.join(signs)} belongs")
        self._at += 1
        return sign

    def value(self) -> object:
        """Go past the next value and return it."""
        self.sign()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError:
                if self._ended:
                    raise
            else:
                # A number may go on behind the buffer: of "1.5", "1." is decoded as 1.
                if self._ended or _BEHIND_VALUE.search(self._buffer, end):
                    self._at = end
                    return value
            if len(self._buffer) - self._at > MAX_VALUE_CHARACTERS:
                raise ValueError(f"no value of at most {MAX_VALUE_CHARACTERS} characters")
            self._read_on()

    def _read_on(self) -> None:
        more = self._text.read(CHUNK_CHARACTERS)
        self._ended = not more
        self._buffer, self._at = self._buffer[self._at :] + more, 0


def _lists(document: _Document) -> Iterator[tuple[str, int, object]]:
    if document.sign() == "[":
        yield from _elements(document, "")
        return
    document.skip("{")
    if document.sign() == "}":
        document.skip("}")
        return
    while True:
        key = document.value()
        if not isinstance(key, str):
            raise ValueError("a key that is not text")  # noqa: TRY004 - as of any other document
        document.skip(":")
        if document.sign() == "[":
            yield from _elements(document, key)
        else:
            document.value()
        if document.skip(",}") == "}":
            return


def _elements(document: _Document, key: str) -> Iterator[tuple[str, int, object]]:
    document.skip("[")
    number = 0
    while document.sign() != "]":
        if number:
            document.skip(",")
        number += 1
        document.place = f" at element {number}" + (f" of {key!r}" if key else "")
        yield key, number, document.value()
    document.skip("]")
    document.place = ""
