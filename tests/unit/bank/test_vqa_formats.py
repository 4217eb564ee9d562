"""Data sets in the layout that they are published in, made small."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bank.annotations import read_annotations
from bank.examples import BankError, Example
from bank.photo_files import coco_names
from bank.rows import Annotations

OKVQA = Path(__file__).parents[4] / "shared" / "data" / "okvqa" / "questions.jsonl"

HEAD = {"info": {"version": "1.0"}, "task_type": "Open-Ended", "data_subtype": "val2014"}


def saved(folder: Path, name: str, document: object) -> Path:
    file = folder / name
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def ten(**votes: int) -> list[dict[str, object]]:
    """Ten people's answers, as VQA's annotations list them."""
    given = [answer for answer, count in votes.items() for _ in range(count)]
    return [
        {"answer": answer, "answer_confidence": "yes", "answer_id": number}
        for number, answer in enumerate(given, 1)
    ]


def questions(folder: Path, *rows: object) -> Path:
    return saved(folder, "OpenEnded_mscoco_val2014_questions.json", HEAD | {"questions": rows})


def annotations(folder: Path, *rows: object) -> Path:
    return saved(folder, "mscoco_val2014_annotations.json", HEAD | {"annotations": rows})


def captions(folder: Path, *rows: object) -> Path:
    images = [{"id": 9, "file_name": "COCO_val2014_000000000009.jpg"}]
    document = {"info": {}, "images": images, "licenses": [], "annotations": rows}
    return saved(folder, "captions_val2014.json", document)


def reasons(read: Annotations) -> dict[int, str]:
    return {bad.line: bad.reason for bad in read.bad}


def test_vqa_questions_are_joined_with_their_answers_and_captions(tmp_path: Path) -> None:
    file = questions(
        tmp_path,
        {"image_id": 9, "question": "What  sport is this?", "question_id": 90},
        {"image_id": 9, "question": "Who plays?", "question_id": 91},
    )
    answers = annotations(
        tmp_path,
        {"question_id": 91, "image_id": 9, "multiple_choice_answer": "people", "answers": []},
        {"question_id": 90, "image_id": 9, "answers": ten(race=3, motocross=6, riding=1)},
    )
    texts = captions(
        tmp_path,
        {"image_id": 9, "id": 1, "caption": "A black motorcycle.\n"},
        {"image_id": 9, "id": 2, "caption": "Another."},
    )

    read = read_annotations(file, answers=answers, captions=texts)

    assert read.bad == ()
    assert [(row.line, row.photo) for row in read.rows] == [(1, 9), (2, 9)]
    caption = "A black motorcycle."
    assert [row.example for row in read.rows] == [
        Example("90", caption, (), "What sport is this?", "motocross"),
        Example("91", caption, (), "Who plays?", "people"),
    ]


def test_what_is_wrong_with_a_vqa_question_is_reported_by_its_row(tmp_path: Path) -> None:
    file = questions(
        tmp_path,
        *({"image_id": 9, "question": "why?", "question_id": number} for number in (1, 2, 3, 4)),
        "no object",
        {"image_id": 9, "question": "", "question_id": 6},
        {"image_id": 9, "question": "why?", "question_id": 7},
        {"question": "why?", "question_id": 8},
        {"image_id": 9, "question": "why?", "question_id": 1},
    )
    answers = annotations(
        tmp_path,
        {"question_id": 1, "answers": ten(yes=10)},
        {"question_id": 3, "answers": "never"},
        {"question_id": 4, "answers": [{"answer": 4.5}]},
        {"question_id": [5]},
        17,
        *({"question_id": number, "answers": ten(no=1)} for number in (6, 7, 7, 8)),
    )
    found = reasons(read_annotations(file, answers=answers))

    assert found == {
        2: "mscoco_val2014_annotations.json has no question '2'",
        3: "answers is not a list",
        4: "answer is not text",
        5: "not a JSON object",
        6: "question is empty",
        7: "mscoco_val2014_annotations.json answers question 7 twice (at 8)",
        8: "caption and tags are both empty",
        9: "id '1' is also on line 1",
    }


def test_a_okvqa_is_one_list_with_choices_and_ten_direct_answers(tmp_path: Path) -> None:
    row = {
        "split": "val",
        "image_id": 9,
        "question_id": "22MexNkBPpdZGX6sxbxVBH",
        "question": "What is in the motorcyclist's mouth?",
        "choices": ["toothpick", "food", "popsicle stick", "cigarette"],
        "correct_choice_idx": 3,
        "direct_answers": ["cigarette"] * 9 + ["smoke"],
        "difficult_direct_answer": False,
        "rationales": ["He's smoking while riding."],
    }
    chosen = row | {"question_id": "b", "direct_answers": [], "correct_choice_idx": 0}
    beyond = row | {"question_id": "c", "direct_answers": [], "correct_choice_idx": 4}
    of_test = {**row, "question_id": "d", "correct_choice_idx": None, "direct_answers": None}

    read = read_annotations(saved(tmp_path, "aokvqa.json", [row, chosen, beyond, of_test]))

    assert [row.example.answer for row in read.rows] == ["cigarette", "toothpick"]
    assert read.rows[0].example.id == "22MexNkBPpdZGX6sxbxVBH"
    assert reasons(read) == {
        3: "correct_choice_idx 4 is none of 4 choices",
        4: "answer is empty",
    }


def test_answers_may_be_an_object_of_what_each_is_worth(tmp_path: Path) -> None:
    row = {"question_id": 5, "image_id": 9, "question": "who?", "caption": "a man"}
    file = tmp_path / "rows.jsonl"
    lines = [
        row | {"answers": {"a man": 0.6, "me": 1.0, "you": 1.0}, "tags": ["st. bernard", "dog"]},
        row | {"question_id": 6, "answers": {"me": "much"}},
        row | {"question_id": 7, "answers": {}},
        row | {"question_id": 8, "answers": [str(number) for number in range(1001)]},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    read = read_annotations(file)

    assert [row.example for row in read.rows] == [
        Example("5", "a man", ("st. bernard", "dog"), "who?", "me")
    ]
    assert reasons(read) == {
        2: "the worth of answer 'me' is not a number",
        3: "answer is empty",
        4: "more than 1000 answers",
    }


def test_a_json_file_may_still_hold_a_row_a_line(tmp_path: Path) -> None:
    row = {"caption": "a man", "question": "who?", "answer": "me"}
    file = tmp_path / "rows.json"
    file.write_text(f"{json.dumps(row)}\n{json.dumps(row)}\n")

    assert [row.example.id for row in read_annotations(file).rows] == ["line-1", "line-2"]


@pytest.mark.parametrize("document", [{"rows": []}, {"questions": 3}])
def test_a_document_without_questions_is_one_error(tmp_path: Path, document: object) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(document, indent=1))

    with pytest.raises(BankError, match="has no list 'questions'"):
        read_annotations(file)


def test_photos_are_found_by_coco_number_in_the_names_of_2014_and_2017(tmp_path: Path) -> None:
    for name in ("val2014/COCO_val2014_000000000009.jpg", "train2017/000000000025.jpg", "30.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert coco_names(tmp_path) == {
        9: "val2014/COCO_val2014_000000000009.jpg",
        25: "train2017/000000000025.jpg",
    }


def test_parquet_of_the_hub_is_read_in_shards_with_its_photos(tmp_path: Path) -> None:
    rows = [
        {
            "question_id": str(number),
            "image": {"bytes": b"photo %d" % number, "path": None},
            "question": "who?",
            "answers": ["me", "me", "you"],
            "question_type": "one",
        }
        for number in range(5)
    ]
    for place, shard in enumerate((rows[:3], rows[3:])):
        name = f"validation-0000{place}-of-00002.parquet"
        parquet.write_table(pa.Table.from_pylist(shard), tmp_path / name, row_group_size=2)

    read = read_annotations(tmp_path)

    assert read.bad == ()
    assert [row.line for row in read.rows] == [1, 2, 3, 4, 5]
    assert {row.example.answer for row in read.rows} == {"me"}
    photos = [row.photo for row in read.rows]
    assert len(set(photos)) == 5
    encoded = [photo.encoded() for photo in photos if photo and not isinstance(photo, str | int)]
    assert encoded == [b"photo 0", b"photo 1", b"photo 2", b"photo 3", b"photo 4"]


def test_parquet_of_vqav2_and_a_okvqa_lists_answers_in_other_ways(tmp_path: Path) -> None:
    rows = [
        {"question": "who?", "image_id": 9, "caption": "a man", "answers": ten(me=9, you=1)},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "vqav2.parquet")
    quoted = [
        {"question": "who?", "caption": "a man", "direct_answers": "['you', 'you', 'me']"},
        {"question": "who?", "caption": "a man", "direct_answers": "[" * 3000},
        {"question": None, "caption": "a man", "direct_answers": "['me']"},
    ]
    parquet.write_table(pa.Table.from_pylist(quoted), tmp_path / "aokvqa.parquet")

    (vqa,) = read_annotations(tmp_path / "vqav2.parquet").rows
    a_okvqa = read_annotations(tmp_path / "aokvqa.parquet")

    assert (vqa.example.answer, vqa.photo) == ("me", 9)
    assert [row.example.answer for row in a_okvqa.rows] == ["you"]
    assert reasons(a_okvqa) == {2: "direct_answers is not a list", 3: "question is empty"}


def test_a_damaged_or_strange_parquet_file_is_one_error(tmp_path: Path) -> None:
    strange = tmp_path / "strange.parquet"
    parquet.write_table(pa.table({"text": ["a"]}), strange)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(strange.read_bytes()[:-20])

    with pytest.raises(BankError, match="has no column question"):
        read_annotations(strange)
    with pytest.raises(BankError, match=r"cannot read .*cut.parquet"):
        read_annotations(cut)


def test_every_question_of_okvqa_is_kept() -> None:
    if not OKVQA.exists():
        pytest.skip("OK-VQA's questions are kept outside the repository")

    read = read_annotations(OKVQA)

    assert read.bad == ()
    assert len(read.rows) == 5046
    first = read.rows[0]
    assert (first.example.id, first.photo, first.example.answer) == ("2971475", 297147, "racing")
