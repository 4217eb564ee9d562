"""Nothing half-made under the final name, whatever ends a build."""

import errno
from pathlib import Path

import pytest

from packing.errors import PackingError
from packing.workshop import put, workshop


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_folder_appears_under_its_name_when_it_is_put_there(tmp_path: Path) -> None:
    out = tmp_path / "bundles" / "mine"
    with workshop(out) as folder:
        (folder / "a").write_text("new")
        assert names(out.parent) == [".mine.building"]
        put(folder, out)
    assert names(out.parent) == ["mine"]
    assert (out / "a").read_text() == "new"


def test_what_was_there_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "old").write_text("")
    with workshop(out) as folder:
        (folder / "new").write_text("")
        put(folder, out)
    assert names(tmp_path) == ["mine"]
    assert names(out) == ["new"]


@pytest.mark.parametrize("end", [ValueError("broken"), KeyboardInterrupt()])
def test_a_build_that_ends_early_leaves_nothing(tmp_path: Path, end: BaseException) -> None:
    with pytest.raises(type(end)), workshop(tmp_path / "mine") as folder:  # noqa: PT012
        (folder / "a").write_text("")
        raise end
    assert names(tmp_path) == []


def test_what_a_killed_build_left_is_not_used(tmp_path: Path) -> None:
    left = tmp_path / ".mine.building"
    (left / "captioner").mkdir(parents=True)
    (left / "bundle.yaml").write_text("")
    with workshop(tmp_path / "mine") as folder:
        assert names(folder) == []


def test_two_builds_do_not_share_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    with workshop(out) as folder:
        (folder / "a").write_text("")
        with pytest.raises(PackingError, match="another process"), workshop(out):
            pass
        assert names(folder) == ["a"]


def test_a_full_disk_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(PackingError, match="is full; free some"), workshop(tmp_path / "mine"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), workshop(tmp_path / "mine"):
        raise PermissionError(errno.EACCES, "Permission denied")
