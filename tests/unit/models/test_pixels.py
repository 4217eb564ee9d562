"""What a photo file shows, and that the example bank and the app see the same in it."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bank.fingerprints import fingerprint, same_photo
from bank.photo_files import read_photo as read_for_the_bank
from models import pixels
from models.pixels import PhotoError, PhotoFile, Rgb, TooManyPixels, decode_jpeg, read_rgb
from serve.api.photos import read_photo as read_for_the_app
from serve.settings import Limits

SEEN_WRONG = Path(__file__).parents[4] / "shared" / "cases" / "15-bank-transparency"

ORIENTATION = 0x0112
WHITE = [255, 255, 255]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(mode: str = "RGB") -> Image.Image:
    """Return stripes of colour from dark to light, no two corners alike."""
    across, down = np.meshgrid(np.linspace(0, 255, 90), np.linspace(0, 255, 60))
    channels = (across, down, (across + down) / 2)
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8)).convert(mode)


def cut_out(mode: str = "RGBA") -> Image.Image:
    """Return the scene, clear on its left, half clear in the middle."""
    image = scene("RGBA")
    image.putalpha(
        Image.fromarray(np.repeat(np.array([[0, 128, 255]], np.uint8), 30, 1).repeat(60, 0))
    )
    return image.convert(mode)


def clear_corner() -> Image.Image:
    image = scene().quantize(64)
    image.info["transparency"] = image.getpixel((0, 0))
    return image


def sixteen_bits() -> Image.Image:
    grey = np.linspace(0, 65535, 90 * 60).reshape(60, 90).astype(np.uint16)
    return Image.fromarray(grey)


def turned(orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(scene(), kind, exif=exif.tobytes())


FILES: dict[str, Callable[[], bytes]] = {
    "rgba.png": lambda: encoded(cut_out(), "PNG"),
    "rgba.webp": lambda: encoded(cut_out(), "WEBP", lossless=True),
    "la.png": lambda: encoded(cut_out("LA"), "PNG"),
    "palette.png": lambda: encoded(scene().quantize(64), "PNG"),
    "clear-palette.png": lambda: encoded(cut_out().quantize(16), "PNG"),
    "clear-colour.png": lambda: encoded(scene().quantize(64), "PNG", transparency=17),
    "clear-grey.png": lambda: encoded(scene("L"), "PNG", transparency=128),
    "clear-rgb.png": lambda: encoded(Image.new("RGB", (90, 60)), "PNG", transparency=(0, 0, 0)),
    "clear-bit.png": lambda: encoded(scene("1"), "PNG", transparency=0),
    "clear.gif": lambda: encoded(clear_corner(), "GIF"),
    "gray16.png": lambda: encoded(sixteen_bits(), "PNG"),
    "clear-gray16.png": lambda: encoded(
        Image.fromarray(np.full((60, 90), 0x1234, np.uint16)), "PNG", transparency=0x1234
    ),
    "bit.png": lambda: encoded(scene("1"), "PNG"),
    "cmyk.jpg": lambda: encoded(scene("CMYK"), "JPEG"),
    "grey.jpg": lambda: encoded(scene("L"), "JPEG"),
    "plain.bmp": lambda: encoded(scene(), "BMP"),
    **{
        f"turned-{way}.{kind.lower()}": lambda way=way, kind=kind: turned(way, kind)  # type: ignore[misc]
        for way in range(1, 9)
        for kind in ("JPEG", "PNG", "WEBP")
    },
}


def as_the_app(data: bytes) -> Rgb:
    return decode_jpeg(read_for_the_app(data, Limits()).jpeg)


def assert_one_photo(file: Path) -> None:
    app, bank = as_the_app(file.read_bytes()), read_for_the_bank(file)
    assert app.shape == bank.shape
    assert same_photo(fingerprint(bank)[None], fingerprint(app)).all()
    # The app's has been a JPEG.
    assert np.abs(app.astype(int) - bank).mean() < 4


@pytest.mark.parametrize("name", FILES)
def test_the_bank_sees_a_file_as_the_app_does(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(FILES[name]())
    assert_one_photo(file)


@pytest.mark.parametrize("name", ["rgba.png", "rgba.webp", "gray16.png"])
def test_the_bank_sees_files_that_people_sent_as_the_app_does(name: str) -> None:
    if not (SEEN_WRONG / name).exists():
        pytest.skip("these files are kept outside the repository")
    assert_one_photo(SEEN_WRONG / name)


@pytest.mark.parametrize(
    "name", ["clear-rgb.png", "clear-gray16.png", "clear.gif", "rgba.png", "rgba.webp", "la.png"]
)
def test_what_is_clear_becomes_exactly_white(name: str) -> None:
    assert read_rgb(BytesIO(FILES[name]()))[0, 0].tolist() == WHITE


def test_what_is_half_clear_lets_white_through() -> None:
    grey = Image.new("LA", (4, 4), (100, 128))
    # 100 * 128/255 + 255 * 127/255
    assert read_rgb(BytesIO(encoded(grey, "PNG"))).tolist() == [[[177, 177, 177]] * 4] * 4


def test_sixteen_bits_lose_their_lower_eight() -> None:
    values = np.array([[0, 0xFF, 0x100, 0x8000, 0xFFFF]], np.uint16)
    rgb = read_rgb(BytesIO(encoded(Image.fromarray(values), "PNG")))
    assert rgb[0, :, 0].tolist() == [0, 0, 1, 0x80, 0xFF]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("max_edge", [None, 45, 7])
def test_strips_show_what_the_whole_would(
    name: str, max_edge: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FILES[name]()
    whole = read_rgb(BytesIO(data), max_edge=max_edge)
    monkeypatch.setattr(pixels, "STRIP_PIXELS", 7 * 90)
    np.testing.assert_array_equal(read_rgb(BytesIO(data), max_edge=max_edge), whole)
    assert max(whole.shape) == (max_edge or 90)


def test_a_shrunk_photo_keeps_the_size_of_the_whole_one() -> None:
    sideways = PhotoFile(BytesIO(turned(6, "JPEG")))
    assert sideways.rgb(max_edge=45).size == (30, 45)
    assert sideways.size == (60, 90)


@pytest.mark.parametrize("kind", ["TIFF", "ICO", "PPM"])
def test_formats_that_nobody_names_are_opened_by_no_reader(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(encoded(scene(), kind))
    with pytest.raises(ValueError, match="is not a JPEG, PNG, WebP, GIF or BMP"):
        read_for_the_bank(file)
    with pytest.raises(PhotoError, match="is not a JPEG"):
        PhotoFile(BytesIO(file.read_bytes()))


def test_more_pixels_than_allowed_are_refused_before_any_is_decoded() -> None:
    data = encoded(scene(), "PNG")
    header_only = data[: data.index(b"IDAT") + 4]
    with pytest.raises(TooManyPixels, match="more than 5399 pixels"):
        PhotoFile(BytesIO(header_only), max_pixels=5399)
    PhotoFile(BytesIO(header_only), max_pixels=5400)
