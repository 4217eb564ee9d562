import json
from pathlib import Path

import pytest

from bank.annotations import read_annotations
from bank.examples import MAX_LINE_CHARACTERS, BankError
from bank.rows import Annotations, clean_tags

REAL = Path(__file__).parents[4] / "shared" / "data" / "annotations.jsonl"

ROW = {
    "id": 3,
    "caption": "a woman in a purple sweater",
    "tags": "table, chair",
    "question": "what colour is my sweater?",
    "answer": "purple",
}


def written(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    file = folder / name
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


HASTILY_WRITTEN = (
    (
        "A man in a red  top sitting alone.",
        "chair,coat, lamp, lamp,  door,person",
        "who am I?",
        "me",
    ),
    ("a woman with grey hair", "table, mug, mug,  ", "What color is my hair", "grey."),
    ("\uf0d8\tA woman, with\nthin glasses", "monitor monitor monitor table window, door", "?", "2"),
    ("a man beside  a bed", "pen;book; Book ;clock.", "how many books are there? ", " two books"),
    ("", "door.", "is a door there?", "yes"),
    ("dark- blond man", "", "what do I wear?", "white and blue"),
)
"""Caption, tags, question and answer as people write them when they write hundreds."""


def assert_clean(read: Annotations, count: int, labels: set[str]) -> None:
    assert read.bad == ()
    assert len(read.rows) == count
    examples = [row.example for row in read.rows]
    texts = [text for each in examples for text in (each.caption, each.question, each.answer)]
    assert all(text == " ".join(text.split()) for text in texts)
    tags = {tag for each in examples for tag in each.tags}
    assert not any(set(",;.\n\t") & set(tag) or tag != tag.strip() for tag in tags)
    assert labels <= tags


def test_every_row_that_was_written_in_haste_is_kept(tmp_path: Path) -> None:
    fields = ("caption", "tags", "question", "answer")
    rows = [dict(zip(fields, row, strict=True)) for row in HASTILY_WRITTEN]
    labels = {"coat", "lamp", "mug", "monitor", "window", "book", "clock", "door"}
    assert_clean(read_annotations(written(tmp_path, *rows)), len(rows), labels)


def test_every_row_that_people_wrote_in_2022_is_kept() -> None:
    if not REAL.exists():
        pytest.skip("the annotations of 2022 are kept outside the repository")
    assert_clean(read_annotations(REAL), 602, {"chair", "computer", "door"})


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("table, chair,  chair,", ("table", "chair", "chair")),
        (" , ,; ", ()),
        ("door. woman", ("door", "woman")),
        ("woman,chair;Chair ;computer.", ("woman", "chair", "chair", "computer")),
        ("computer,\ncomputer\n, a small window", ("computer", "computer", "a small window")),
        ("chair chair door chair", ("chair", "chair", "door", "chair")),
        ("picture hanging on the wall", ("picture hanging on the wall",)),
    ],
)
def test_tags_are_split_however_people_separate_them(text: str, tags: tuple[str, ...]) -> None:
    assert clean_tags(text) == tags


def test_white_space_and_word_processor_bullets_are_taken_out(tmp_path: Path) -> None:
    row = ROW | {"caption": "\uf0d8\tA Woman \n with  glasses ", "answer": " red top. "}

    example = read_annotations(written(tmp_path, row)).rows[0].example

    assert example.caption == "A Woman with glasses"
    assert example.answer == "red top"
    assert example.id == "3"


def test_tags_may_be_a_list(tmp_path: Path) -> None:
    row = ROW | {"tags": ["Clock ", "", "mug"]}

    assert read_annotations(written(tmp_path, row)).rows[0].example.tags == ("clock", "mug")


def test_a_bad_row_is_reported_with_its_line_and_the_rest_is_kept(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        ROW,
        "",
        "{not json",
        "[1, 2]",
        ROW | {"id": 4, "answer": " "},
        ROW | {"id": 5, "question": 7.5},
        ROW,
        ROW | {"id": 6, "caption": "", "tags": ","},
        ROW | {"id": 7, "answer": "x" * 501},
        ROW | {"id": 8, "tags": ["a", 3.5]},
        "[" * 60_000,
        '{"id": ' + "9" * 5_000 + "}",
        "x" * (3 * MAX_LINE_CHARACTERS),
        ROW | {"id": 9},
    )

    read = read_annotations(file)

    assert [row.example.id for row in read.rows] == ["3", "9"]
    assert [row.line for row in read.rows] == [1, 14]
    reasons = {bad.line: bad.reason for bad in read.bad}
    assert sorted(reasons) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert reasons[3].startswith("not JSON")
    assert reasons[4] == "not a JSON object"
    assert reasons[5] == "answer is empty"
    assert reasons[6] == "question is not text"
    assert reasons[7] == "id '3' is also on line 1"
    assert reasons[8] == "caption and tags are both empty"
    assert reasons[9] == "answer is over 500 characters"
    assert reasons[10] == "tags is not text"
    assert "over 65536 characters" in reasons[13]


def test_a_byte_that_is_not_utf8_spoils_its_own_row_only(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    good = json.dumps(ROW | {"id": 1}).encode()
    file.write_bytes(
        json.dumps(ROW).encode().replace(b"purple", b"\xff\xfe", 1) + b"\n" + good + b"\n"
    )

    read = read_annotations(file)

    assert [row.example.id for row in read.rows] == ["1"]
    assert [(bad.line, bad.reason) for bad in read.bad] == [(1, "caption is not valid UTF-8")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_in_the_encodings_that_spreadsheets_write(
    tmp_path: Path, encoding: str, end: str, delimiter: str
) -> None:
    rows = [
        ["ID", " Caption", "Tags", "Question", "Answer", "Photo", "remark"],
        ["1", '"two\nlines"', '"mug, mug"', "what?", "é", "one.jpg", ""],
        ["", "", "", "", "", "", ""],
        ["2", "short"],
        ["3", "a cat", "cat", "who?", "a cat", "", ""],
    ]
    file = tmp_path / "rows.csv"
    file.write_bytes(end.join(map(delimiter.join, rows)).encode(encoding))

    read = read_annotations(file)

    first, last = read.rows
    assert first.example.caption == "two lines"
    assert first.example.tags == ("mug", "mug")
    assert first.example.answer == "é"
    assert (first.photo, last.photo) == ("one.jpg", None)
    assert [(bad.line, bad.reason) for bad in read.bad] == [(5, "2 fields under 7 columns")]
    assert last.line == 6


def test_a_table_row_out_of_bounds_or_badly_quoted_is_reported(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "caption,tags,question,answer",
        "x" * (2 * MAX_LINE_CHARACTERS) + ",cat,who?,me",
        '"a" b,cat,who?,me',
        "a cat,cat,who?,me",
        name="rows.csv",
    )

    read = read_annotations(file)

    assert [row.example.id for row in read.rows] == ["line-4"]
    assert [bad.line for bad in read.bad] == [2, 3]
    assert "over 65536 characters" in read.bad[0].reason
    assert "not CSV" in read.bad[1].reason


@pytest.mark.parametrize("name", ["rows.csv", "rows.txt", "missing.jsonl"])
def test_a_file_that_cannot_be_read_at_all_is_one_error(tmp_path: Path, name: str) -> None:
    if not name.startswith("missing"):
        written(tmp_path, "caption,question", "a,b", name=name)

    with pytest.raises(BankError):
        read_annotations(tmp_path / name)
