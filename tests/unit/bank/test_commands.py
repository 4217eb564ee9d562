import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner, Result

from bank import commands
from bank.describing import Describe, Description
from bank.examples import BankError
from bank.photo_files import find_photo, read_photo
from bank.release import clip_of, load_bank
from models.bundle import Bundle

ROW = {"caption": "a room", "tags": "mug", "question": "who?", "answer": "me"}
PARTS = ("captioner", "tagger", "clip", "answerer")


class FakeClip:
    def embed_photos(self, photos: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self.embed_texts([str(photo.mean()) for photo in photos])

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.random.default_rng(list(text.encode())).standard_normal(8) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(commands, "_load_clip", lambda *_: FakeClip())
    home = tmp_path / "bundle"
    for part in PARTS:
        (home / part).mkdir(parents=True)
    (home / "clip" / "model.safetensors").write_bytes(b"weights")
    parts = "\n".join(f"{part}: {{path: {part}}}" for part in PARTS)
    (home / "bundle.yaml").write_text(f'name: tiny\nversion: "1"\n{parts}\nbank: bank\n')
    return home


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for shade, name in ((40, "one.jpg"), (200, "two.png")):
        Image.new("RGB", (32, 24), (shade, shade, shade)).save(folder / name)
    (folder / "cut.jpg").write_bytes((folder / "one.jpg").read_bytes()[:300])
    return folder


def annotations(folder: Path, *rows: object) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(commands.app, [str(argument) for argument in arguments])


def test_a_bank_is_built_of_the_good_rows_and_the_bad_ones_are_named(
    tmp_path: Path, bundle: Path, photos: Path
) -> None:
    file = annotations(
        tmp_path,
        ROW | {"photo": "one.jpg"},
        ROW | {"photo": "gone.jpg"},
        ROW | {"photo": "../bundle/bundle.yaml"},
        ROW | {"photo": "cut.jpg"},
        ROW | {"answer": ""},
        ROW | {"photo": "two.png", "question": "what?"},
        ROW | {"photo": "one.jpg", "question": "[bold]where?"},
    )

    result = run("build", file, "--out", bundle / "bank", "--photos", photos, "--bundle", bundle)

    assert result.exit_code == 0, result.output
    for line in (2, 3, 4, 5):
        assert f"rows.jsonl:{line}: " in result.output
    assert "3 rows kept, 4 left out" in result.output
    bank = load_bank(Bundle.load(bundle))
    assert (len(bank), bank.photos) == (3, 2)
    assert [example.id for example in bank.examples] == ["line-1", "line-6", "line-7"]


def test_rows_with_photo_question_and_answer_alone_are_described(
    tmp_path: Path, bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_describer(*_: object) -> Describe:
        return lambda photos: [
            Description("a grey room", ("mug",)) if photo.mean() < 100 else Description("", ())
            for photo in photos
        ]

    monkeypatch.setattr(commands, "load_describer", load_describer)
    bare = {"question": "who?", "answer": "me"}
    file = annotations(
        tmp_path,
        bare | {"photo": "one.jpg"},
        bare | {"photo": "two.png"},
        bare | {"photo": "one.jpg", "caption": "a room of mine"},
    )

    result = run("build", file, "--out", bundle / "bank", "--photos", photos, "--bundle", bundle)

    assert result.exit_code == 0, result.output
    assert "rows.jsonl:2: caption and tags are both empty" in result.output
    assert "2 rows kept, 1 left out" in result.output
    made, own = load_bank(Bundle.load(bundle)).examples
    assert (made.caption, made.tags) == ("a grey room", ("mug",))
    assert (own.caption, own.tags) == ("a room of mine", ())
    assert sorted(file.name for file in bundle.glob("bank*")) == ["bank"]


def test_rows_to_be_described_are_left_out_without_their_photos(
    tmp_path: Path, bundle: Path
) -> None:
    file = annotations(tmp_path, {"question": "who?", "answer": "me", "photo": "one.jpg"}, ROW)

    result = run("build", file, "--out", bundle / "bank", "--bundle", bundle)

    assert "rows.jsonl:1: caption and tags are both empty" in result.output
    assert "1 rows kept, 1 left out" in result.output


def test_photos_of_coco_are_found_by_their_number(
    tmp_path: Path, bundle: Path, photos: Path
) -> None:
    (photos / "one.jpg").rename(photos / "COCO_val2014_000000000009.jpg")
    file = annotations(tmp_path, ROW | {"image_id": 9}, ROW | {"image_id": 10})

    result = run("build", file, "--out", bundle / "bank", "--photos", photos, "--bundle", bundle)

    assert "rows.jsonl:2: photo '000000000010.jpg' is not in" in result.output
    assert load_bank(Bundle.load(bundle)).photos == 1


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path, bundle: Path) -> None:
    result = run("build", annotations(tmp_path, ROW), "--out", bundle, "--bundle", bundle)

    assert result.exit_code == 1
    assert "holds something else than a bank" in result.output
    assert (bundle / "bundle.yaml").exists()


def test_a_bank_is_replaced_when_the_new_one_is_whole(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_disk(*_: object) -> None:
        raise OSError("No space left on device")

    out = bundle / "bank"
    run("build", annotations(tmp_path, ROW), "--out", out, "--bundle", bundle)
    file = annotations(tmp_path, ROW, ROW)
    with monkeypatch.context() as patch:
        patch.setattr("bank.build.write_vectors", no_disk)
        assert run("build", file, "--out", out, "--bundle", bundle).exit_code == 1
    assert len(load_bank(Bundle.load(bundle))) == 1

    assert run("build", file, "--out", out, "--bundle", bundle).exit_code == 0

    assert len(load_bank(Bundle.load(bundle))) == 2
    assert sorted(file.name for file in bundle.glob("bank*")) == ["bank"]


def test_a_bank_is_shown_and_searched(tmp_path: Path, bundle: Path) -> None:
    file = annotations(tmp_path, ROW, ROW | {"question": "[bold]where?", "answer": "there"})
    assert run("build", file, "--out", bundle / "bank", "--bundle", bundle).exit_code == 0

    shown = run("show", bundle / "bank")
    found = run("show", bundle / "bank", "--search", "who?", "--k", 1, "--bundle", bundle)

    assert "2 examples about 0 photos" in shown.output
    assert "[bold]where?" in shown.output
    assert "1.000" in found.output
    assert "there" not in found.output


def test_errors_are_one_line_and_a_failure(tmp_path: Path, bundle: Path) -> None:
    empty = annotations(tmp_path, ROW | {"answer": ""})

    for result in (
        run("show", tmp_path / "nowhere"),
        run("build", tmp_path / "gone.jsonl", "--out", tmp_path / "o", "--bundle", bundle),
        run("build", empty, "--out", tmp_path / "o", "--bundle", bundle),
        run("build", annotations(tmp_path, ROW), "--out", tmp_path / "o", "--bundle", tmp_path),
    ):
        assert result.exit_code == 1
        assert result.output.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in result.output
    assert not (tmp_path / "o").exists()


def test_a_bank_of_another_clip_is_refused(tmp_path: Path, bundle: Path) -> None:
    assert run("build", annotations(tmp_path, ROW), "--out", bundle / "bank", "--bundle", bundle)
    (bundle / "clip" / "model.safetensors").write_bytes(b"other weights")

    with pytest.raises(BankError, match="build the bank again"):
        load_bank(Bundle.load(bundle))
    assert run("show", bundle / "bank", "--search", "who?", "--bundle", bundle).exit_code == 1


def test_a_bundle_without_a_bank_finds_nothing(bundle: Path) -> None:
    file = bundle / "bundle.yaml"
    file.write_text(file.read_text().replace("bank: bank\n", ""))

    bank = load_bank(Bundle.load(bundle))

    assert len(bank) == 0
    assert bank.search(np.ones(8, np.float32), None, 4) == ()


def test_a_clip_on_the_hub_is_known_by_its_commit(bundle: Path) -> None:
    file = bundle / "bundle.yaml"
    commit = "0123456789" * 4
    hub = f"clip: {{repo: openai/clip, revision: {commit}}}"
    file.write_text(file.read_text().replace("clip: {path: clip}", hub))

    assert (clip_of(Bundle.load(file)).clip, clip_of(Bundle.load(file)).revision) == (
        "openai/clip",
        commit,
    )


@pytest.mark.parametrize("name", ["../photos.txt", "/etc/passwd", "", ".", "a\0b", "x" * 5000])
def test_a_photo_is_looked_for_in_its_folder_only(photos: Path, name: str) -> None:
    (photos.parent / "photos.txt").write_text("secret")

    with pytest.raises(ValueError, match="is not in"):
        find_photo(photos, name)


def test_a_link_does_not_lead_out_of_the_folder(photos: Path) -> None:
    (photos.parent / "secret.png").write_bytes((photos / "two.png").read_bytes())
    (photos / "link.png").symlink_to(photos.parent / "secret.png")

    with pytest.raises(ValueError, match="is not in"):
        find_photo(photos, "link.png")


def test_a_photo_is_turned_upright(photos: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (32, 24)).save(photos / "turned.jpg", exif=exif)

    assert read_photo(photos / "turned.jpg").shape == (32, 24, 3)
