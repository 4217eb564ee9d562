"""Read rows of parquet files, as the hub stores data sets, with photos inside them or without.

Photos stay in the file until they are opened, and then come a row group at a time: hub data sets
have 100 to 1,000 photos in one.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from bank.examples import BankError
from bank.photo_files import StoredPhoto
from bank.rows import Record

FIELDS = (
    "id", "question_id", "image_id", "photo", "caption", "tags", "question", "answer", "answers",
    "direct_answers", "multiple_choice_answer", "choices", "correct_choice_idx",
)  # fmt: skip
PHOTOS = "image"
BATCH_ROWS = 1024
MAX_GROUP_BYTES = 2_000_000_000
"""Largest row group, in bytes before compression: one is in memory at a time."""


def is_parquet(file: Path) -> bool:
    """Return whether this is a parquet file, or a folder with some below it."""
    return file.suffix.lower() == ".parquet" or (file.is_dir() and any(file.rglob("*.parquet")))


def parquet_records(file: Path) -> Iterator[Record]:
    """Yield the rows of a parquet file, or of a folder's, sorted by name; numbers go on.

    Raises:
        BankError: A file cannot be read or has no questions, or pyarrow is not installed.
    """
    number = 0
    for shard in sorted(file.rglob("*.parquet")) if file.is_dir() else [file]:
        opened = _open(shard)
        columns = [name for name in opened.schema_arrow.names if name in FIELDS]
        if "question" not in columns:
            raise BankError(f"{shard} has no column question")
        has_photos = _has_photos(opened)
        try:
            for group in range(opened.num_row_groups):
                place = 0
                for batch in opened.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        photo = {PHOTOS: _photo(shard, group, place)} if has_photos else {}
                        yield number, {**row, **photo}
                        place += 1
        except (OSError, ValueError) as error:  # pyarrow's errors are both
            raise BankError(f"{shard} is damaged: {_first_line(error)}") from None


def _open(file: Path) -> Any:  # noqa: ANN401 - pyarrow ships no types
    try:
        from pyarrow import parquet
    except ImportError:
        raise BankError(
            f"{file} is parquet, which needs the extra `parquet`; install pyarrow"
        ) from None
    try:
        opened = parquet.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise BankError(f"cannot read {file}: {_first_line(error)}") from None
    groups = (opened.metadata.row_group(group) for group in range(opened.num_row_groups))
    if any(group.total_byte_size > MAX_GROUP_BYTES for group in groups):
        raise BankError(f"{file} has a row group over {MAX_GROUP_BYTES} bytes")
    return opened


def _has_photos(opened: Any) -> bool:  # noqa: ANN401 - pyarrow ships no types
    """Return whether the column of photos is that of the hub's: objects of bytes and a path."""
    names = opened.schema_arrow.names
    return PHOTOS in names and any(
        column.path == f"{PHOTOS}.bytes"
        for column in map(opened.schema.column, range(len(opened.schema)))
    )


@lru_cache(maxsize=1)
def _photos_of(shard: Path, group: int) -> Any:  # noqa: ANN401 - pyarrow ships no types
    """Return the encoded photos of a row group; photos are opened in order, so one is enough."""
    column = _open(shard).read_row_group(group, columns=[f"{PHOTOS}.bytes"]).column(PHOTOS)
    return column.combine_chunks().field("bytes")


def _encoded(shard: Path, group: int, row: int) -> bytes:
    try:
        data = _photos_of(shard, group)[row].as_py()
    except (BankError, ValueError, IndexError) as error:
        raise OSError(_first_line(error)) from None
    return data or b""


def _photo(shard: Path, group: int, row: int) -> StoredPhoto:
    place = f"{shard} row group {group} row {row}"
    return StoredPhoto(place, partial(_encoded, shard, group, row))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
