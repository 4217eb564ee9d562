import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bank import text_files
from bank.examples import BankError
from bank.text_files import json_elements

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(
    document=st.lists(VALUES) | st.dictionaries(st.text(max_size=3), st.lists(VALUES) | VALUES),
    indent=st.sampled_from([None, 1]),
    chunk=st.integers(2, 40),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_streamed_is_what_json_reads(
    tmp_path: Path, document: Any, indent: int | None, chunk: int
) -> None:
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    lists = {"": document} if isinstance(document, list) else document
    whole = [
        (key, number, value)
        for key, values in lists.items()
        if isinstance(values, list)
        for number, value in enumerate(values, 1)
    ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "CHUNK_CHARACTERS", chunk)
        patch.setattr(text_files, "MAX_VALUE_CHARACTERS", 1_000_000)
        assert list(json_elements(file)) == whole


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"questions": [{"a": 1}, {"a": }]}', "at element 2 of 'questions'"),
        ('[{"a": 1}', "its end where"),
        ("[1] [2]", "more than one value"),
        ("", "is not JSON"),
        ("3", "is not JSON"),
        ("{1: [2]}", "a key that is not text"),
        ("[" * 100_000, "nested too deeply"),
        ('["' + "x" * 3_000_000 + '"]', "no value of at most"),
    ],
)
def test_a_document_that_is_not_whole_is_one_error(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "document.json"
    file.write_text(text)

    with pytest.raises(BankError, match=reason) as raised:
        list(json_elements(file))
    assert str(file) in str(raised.value)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "document.json"
    file.write_text("[1, 2, 3]")
    monkeypatch.setattr(text_files, "MAX_FILE_BYTES", 8)

    with pytest.raises(BankError, match="over 8 bytes"):
        list(json_elements(file))
