"""Read annotation files: JSON lines, CSV, the published forms of VQA data sets, and parquet.

Solved questions of VQA data sets come in up to three files: questions, what people answered, and
captions of the photos (COCO's). `bank.rows` knows the fields.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from bank.examples import MAX_EXAMPLES, MAX_LINE_CHARACTERS, BankError
from bank.parquet_files import is_parquet, parquet_records
from bank.rows import (
    Annotation,
    Annotations,
    BadRow,
    Fields,
    Record,
    annotation_of,
    answer_of,
    clean_text,
    text_of,
)
from bank.text_files import json_elements, lines, open_text

_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_TABLES = frozenset({".csv", ".tsv"})


def read_annotations(
    file: Path, *, answers: Path | None = None, captions: Path | None = None
) -> Annotations:
    """Read solved questions, with what other files say of them.

    Fields of a row, as we name them: caption, tags, question, answer [, id, photo]. Tags are a
    list, or a text split at commas, semicolons and line ends. Names of data sets are known too:
    question_id, image_id, image, answers, direct_answers, multiple_choice_answer, choices with
    correct_choice_idx. Other fields are ignored; names of CSV columns are not case-sensitive. A row
    without an id gets one from its line. The encoding is UTF-8, or UTF-16 with a byte order mark.

    Args:
        file: .jsonl, .csv or .json: JSON lines, a list of rows (A-OKVQA), or an object with the
            list `questions` (OK-VQA, VQAv2). Or .parquet, or a folder of such files.
        answers: A JSON object with the list `annotations` of the rows' answers, by question_id.
        captions: The same of captions, by image_id; of a photo's several, the first counts.

    Raises:
        BankError: A file as a whole cannot be read.
    """
    records = _records(file)
    if answers is not None:
        records = _answered(records, answers)
    if captions is not None:
        records = _captioned(records, captions)
    rows: list[Annotation] = []
    bad: list[BadRow] = []
    line_of: dict[str, int] = {}
    for line, fields in records:
        if len(rows) + len(bad) >= MAX_EXAMPLES:
            raise BankError(f"{file} has more than {MAX_EXAMPLES} rows")
        try:
            row = annotation_of(line, fields)
        except ValueError as error:
            bad.append(BadRow(line, str(error)))
            continue
        first = line_of.setdefault(row.example.id, line)
        if first != line:
            bad.append(BadRow(line, f"id {row.example.id!r} is also on line {first}"))
            continue
        rows.append(row)
    return Annotations(tuple(rows), tuple(bad))


def _records(file: Path) -> Iterator[Record]:
    """Yield each row's first line and its fields, or the reason why it has none."""
    if is_parquet(file):
        yield from parquet_records(file)
        return
    kind = file.suffix.lower()
    if kind == ".json":
        kind = ".jsonl" if _is_lines(file) else kind
    if kind == ".json":
        yield from _document_records(file, ("", "questions"))
    elif kind in _JSON_LINES:
        with open_text(file) as text:
            yield from _json_records(text)
    elif kind in _TABLES:
        with open_text(file) as text:
            yield from _table_records(file, text)
    else:
        raise BankError(f"{file} is neither JSON (.jsonl, .json), nor a table (.csv), nor parquet")


def _is_lines(file: Path) -> bool:
    """Return whether a .json file holds a row a line, and not one document."""
    with open_text(file) as text:
        first = next((line for line in lines(text) if line.strip()), "")
    fields = _json_fields(first)
    return not isinstance(fields, str) and not isinstance(fields.get("questions"), list)


def _document_records(file: Path, keys: tuple[str, ...]) -> Iterator[Record]:
    found = False
    for key, number, value in json_elements(file):
        if key in keys:
            found = True
            yield number, value if isinstance(value, dict) else "not a JSON object"
    if not found:
        raise BankError(f"{file} has no list {keys[-1]!r}")


def _answered(records: Iterable[Record], file: Path) -> Iterator[Record]:
    """Yield the records with the answers that a file has to their question_id."""
    answers: dict[str, str | ValueError] = {}
    for number, fields in _document_records(file, ("", "annotations")):
        if not isinstance(fields, str) and (question := _key(fields, "question_id")):
            answer = _answer(fields)
            twice = ValueError(f"{file.name} answers question {question} twice (at {number})")
            answers[question] = twice if question in answers else answer
        if len(answers) > MAX_EXAMPLES:
            raise BankError(f"{file} has more than {MAX_EXAMPLES} rows")
    for line, fields in records:
        if isinstance(fields, str):
            yield line, fields
            continue
        question = _key(fields, "question_id")
        answer = answers.get(question, ValueError(f"{file.name} has no question {question!r}"))
        yield line, str(answer) if isinstance(answer, ValueError) else {**fields, "answer": answer}


def _answer(fields: Fields) -> str | ValueError:
    try:
        return answer_of(fields)
    except ValueError as error:
        return error


def _captioned(records: Iterable[Record], file: Path) -> Iterator[Record]:
    """Yield the records with the first caption that a file has of their image_id."""
    captions: dict[str, object] = {}
    for _, fields in _document_records(file, ("", "annotations")):
        if not isinstance(fields, str) and (photo := _key(fields, "image_id")):
            captions.setdefault(photo, fields.get("caption"))
        if len(captions) > MAX_EXAMPLES:
            raise BankError(f"{file} has captions of more than {MAX_EXAMPLES} photos")
    for line, fields in records:
        caption = None if isinstance(fields, str) else captions.get(_key(fields, "image_id"))
        if isinstance(fields, str) or caption is None:
            yield line, fields
        else:
            yield line, {**fields, "caption": caption}


def _key(fields: Fields, name: str) -> str:
    """Return an id by which files are joined; it is empty where it is absent or no id."""
    try:
        return text_of(fields, name)
    except ValueError:
        return ""


def _json_records(text: TextIO) -> Iterator[Record]:
    for number, line in enumerate(lines(text), 1):
        if line.strip():
            yield number, _json_fields(line)


def _json_fields(line: str) -> Fields | str:
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


def _table_records(file: Path, text: TextIO) -> Iterator[Record]:
    stored = lines(text)
    names, delimiter = _columns(file, next(stored, ""))
    too_long: list[int] = []

    def bounded() -> Iterator[str]:
        for number, line in enumerate(stored, 2):
            if len(line) > MAX_LINE_CHARACTERS:
                too_long.append(number)
            yield line if len(line) <= MAX_LINE_CHARACTERS else "\n"

    for line, fields in _rows_of_table(bounded(), delimiter, names):
        while too_long:
            yield too_long.pop(), f"the line is over {MAX_LINE_CHARACTERS} characters"
        if fields:
            yield line, fields


def _rows_of_table(stored: Iterator[str], delimiter: str, names: list[str]) -> Iterator[Record]:
    """Yield each row's first line and its fields; an empty row has no fields."""
    table = csv.reader(stored, delimiter=delimiter, strict=True)
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
    missing = [name for name in ("question", "answer") if name not in names]
    if not {"caption", "tags", "photo", "image_id"} & set(names):
        missing.append("caption, tags or photo")
    if missing:
        raise BankError(f"{file} has no column {', '.join(missing)} in its first line")
    return names, delimiter


def _table_fields(names: list[str], values: list[str]) -> Fields | str:
    if len(values) != len(names):
        return f"{len(values)} fields under {len(names)} columns"
    return dict(zip(names, values, strict=True))
