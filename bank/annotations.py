"""Read annotation files, JSON lines or CSV, tolerantly.

A bad row is reported with its line and reason, and the rest is kept. Repeated tags are kept:
"chair, chair" means two of them.
"""

import codecs
import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from bank.examples import MAX_EXAMPLES, MAX_LINE_CHARACTERS, BankError, Example, check

_JSON_LINES = frozenset({".jsonl", ".ndjson", ".json"})
_TABLES = frozenset({".csv", ".tsv"})
_UNSEEN = re.compile(r"[^\S ]|[\x00-\x1f\x7f\u200b-\u200f\ufeff\ue000-\uf8ff]")
"""White space other than a blank, control characters, and private-use characters that word
processors use for bullets."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A valid row: an example and, if the row names one, the file name of its photo."""

    line: int
    example: Example
    photo: str | None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Annotations:
    """The rows of a file, in its order."""

    rows: tuple[Annotation, ...]
    bad: tuple[BadRow, ...]


def read_annotations(file: Path) -> Annotations:
    """Read a .jsonl or .csv file with the fields caption, tags, question, answer [, id, photo].

    Tags are a list, or a text split at commas, semicolons and line ends. Other fields are ignored;
    names of CSV columns are not case-sensitive. A row without an id gets one from its line. The
    encoding is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        BankError: The file as a whole cannot be read.
    """
    rows: list[Annotation] = []
    bad: list[BadRow] = []
    line_of: dict[str, int] = {}
    for line, fields in _records(file):
        if len(rows) + len(bad) >= MAX_EXAMPLES:
            raise BankError(f"{file} has more than {MAX_EXAMPLES} rows")
        try:
            row = _annotation(line, fields)
        except ValueError as error:
            bad.append(BadRow(line, str(error)))
            continue
        first = line_of.setdefault(row.example.id, line)
        if first != line:
            bad.append(BadRow(line, f"id {row.example.id!r} is also on line {first}"))
            continue
        rows.append(row)
    return Annotations(tuple(rows), tuple(bad))


def clean_text(text: str) -> str:
    """Return the text with each run of white space and invisible characters as one blank."""
    return " ".join(_UNSEEN.sub(" ", text).split())


def clean_tags(text: str) -> tuple[str, ...]:
    """Return the labels in a text of tags, in lower case, in order, with repeats."""
    parts = re.split(r"[,;|\n]|\.(?:\s|$)", text)
    tags = (clean_text(part).strip(" .\"'").casefold() for part in parts)
    return tuple(word for tag in tags if tag for word in _apart(tag))


def _apart(tag: str) -> list[str]:
    """Return the words of a tag with repeats ("chair chair door" lost its commas), else the tag."""
    words = tag.split()
    return words if len(set(words)) < len(words) else [tag]


def _annotation(line: int, fields: Mapping[str, object] | str) -> Annotation:
    if isinstance(fields, str):
        raise ValueError(fields)  # noqa: TRY004 - the reason why the line has no fields
    example = Example(
        id=_text(fields, "id") or f"line-{line}",
        caption=_text(fields, "caption"),
        tags=_tags(fields),
        question=_text(fields, "question"),
        answer=re.sub(r"(?<![. ]) ?\.$", "", _text(fields, "answer")),
    )
    check(example)
    return Annotation(line, example, _text(fields, "photo") or None)


def _tags(fields: Mapping[str, object]) -> tuple[str, ...]:
    listed = fields.get("tags")
    if not isinstance(listed, list):
        return clean_tags(_raw(fields, "tags"))
    return clean_tags("\n".join(_raw({"tags": item}, "tags") for item in listed))


def _raw(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} is not text")  # noqa: TRY004 - one reason among others of a row
    if any("\ud800" <= sign <= "\udfff" for sign in value):
        raise ValueError(f"{name} is not valid UTF-8")
    return value


def _text(fields: Mapping[str, object], name: str) -> str:
    return clean_text(_raw(fields, name))


def _records(file: Path) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    """Yield each row's first line and its fields, or the reason why it has none."""
    kind = file.suffix.lower()
    if kind not in _JSON_LINES | _TABLES:
        raise BankError(f"{file} is neither JSON lines (.jsonl) nor a table (.csv)")
    read = _json_records if kind in _JSON_LINES else _table_records
    try:
        with file.open("rb") as raw:
            start = raw.read(2)
        wide = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        # A byte that is not UTF-8 becomes a lone surrogate, which invalidates its row only.
        encoding, errors = ("utf-16", "replace") if wide else ("utf-8-sig", "surrogateescape")
        with file.open(encoding=encoding, errors=errors, newline="") as text:
            yield from read(file, text)
    except OSError as error:
        raise BankError(f"cannot read {file}: {error.strerror}") from None


def _lines(text: TextIO) -> Iterator[str]:
    """Yield lines of bounded length; a longer one is truncated and its rest skipped."""
    while line := text.readline(MAX_LINE_CHARACTERS + 1):
        rest = line
        while len(rest) > MAX_LINE_CHARACTERS and not rest.endswith("\n"):
            rest = text.readline(MAX_LINE_CHARACTERS + 1)
        yield line


def _json_records(_file: Path, text: TextIO) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    for number, line in enumerate(_lines(text), 1):
        if line.strip():
            yield number, _json_fields(line)


def _json_fields(line: str) -> Mapping[str, object] | str:
    if len(line) > MAX_LINE_CHARACTERS:
        return f"the line is over {MAX_LINE_CHARACTERS} characters"
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at character {error.pos + 1}"
    except RecursionError:
        return "not JSON: nested too deeply"
    except ValueError as error:  # a number with more digits than Python parses
        return f"not JSON: {error}"
    return value if isinstance(value, dict) else "not a JSON object"


def _table_records(file: Path, text: TextIO) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    lines = _lines(text)
    names, delimiter = _columns(file, next(lines, ""))
    too_long: list[int] = []

    def bounded() -> Iterator[str]:
        for number, line in enumerate(lines, 2):
            if len(line) > MAX_LINE_CHARACTERS:
                too_long.append(number)
            yield line if len(line) <= MAX_LINE_CHARACTERS else "\n"

    for line, fields in _rows_of_table(bounded(), delimiter, names):
        while too_long:
            yield too_long.pop(), f"the line is over {MAX_LINE_CHARACTERS} characters"
        if fields:
            yield line, fields


def _rows_of_table(
    lines: Iterator[str], delimiter: str, names: list[str]
) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    """Yield each row's first line and its fields; an empty row has no fields."""
    table = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = table.line_num + 2
        try:
            values = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"not CSV: {error}"
            continue
        empty = not any(value.strip() for value in values)
        yield line, {} if empty else _table_fields(names, values)


def _columns(file: Path, header: str) -> tuple[list[str], str]:
    """Return the names of a table's columns and the delimiter between them."""
    delimiter = max(",;\t", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    names = [clean_text(name).casefold() for name in names]
    missing = [name for name in ("caption", "tags", "question", "answer") if name not in names]
    if missing:
        raise BankError(f"{file} has no column {', '.join(missing)} in its first line")
    return names, delimiter


def _table_fields(names: list[str], values: list[str]) -> Mapping[str, object] | str:
    if len(values) != len(names):
        return f"{len(values)} fields under {len(names)} columns"
    return dict(zip(names, values, strict=True))
