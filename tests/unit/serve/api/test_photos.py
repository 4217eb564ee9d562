import asyncio
import contextlib
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deployments.errors import BadImage, ImageTooLarge
from deployments.messages import Tag
from serve.api.photos import MAX_SENT_BYTES, PhotoReader, ReceivedPhoto, read_photo
from serve.settings import Limits

LIMITS = Limits(max_bytes=5_000_000, max_pixels=1_000_000, max_edge=256)
RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def half_red(width: int = 60, height: int = 40) -> Image.Image:
    """White, with its left half red."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height))
    return image


def decoded(photo: ReceivedPhoto) -> Image.Image:
    image = Image.open(BytesIO(photo.jpeg))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert image.size == (photo.sent_width, photo.sent_height)
    return image


def is_about(image: Image.Image, place: tuple[int, int], colour: tuple[int, ...]) -> bool:
    found = np.asarray(image.getpixel(place), int)
    return bool(np.abs(found - colour).max() < 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_every_format_that_we_name_is_read(kind: str) -> None:
    photo = read_photo(encoded(half_red(), kind), LIMITS)
    assert (photo.width, photo.height) == (60, 40)
    assert is_about(decoded(photo), (5, 20), RED)
    assert is_about(decoded(photo), (55, 20), WHITE)


def test_a_small_upright_jpeg_is_passed_on_byte_for_byte() -> None:
    data = encoded(half_red(), "JPEG")
    assert read_photo(data, LIMITS).jpeg == data


@pytest.mark.parametrize(
    "image",
    [
        half_red().convert("CMYK"),
        half_red().convert("L"),
    ],
    ids=["CMYK", "grey"],
)
def test_other_jpegs_become_rgb(image: Image.Image) -> None:
    photo = decoded(read_photo(encoded(image, "JPEG"), LIMITS))
    assert is_about(photo, (55, 20), WHITE)
    assert not is_about(photo, (5, 20), WHITE)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = np.full((40, 60), 0x8000, np.uint16)
    photo = decoded(read_photo(encoded(Image.fromarray(grey)), LIMITS))
    assert is_about(photo, (30, 20), (128, 128, 128))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 30, 40))
    data = encoded(image.convert(mode) if mode in {"RGBA", "LA"} else image.quantize(4))
    photo = decoded(read_photo(data, LIMITS))
    assert is_about(photo, (5, 20), (0, 0, 0))
    assert is_about(photo, (55, 20), WHITE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_comes_out_upright(orientation: int, kind: str) -> None:
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = half_red()
    upright.paste((0, 0, 255), (0, 0, 30, 20))
    stored = upright.transpose(back[orientation]) if orientation in back else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = read_photo(encoded(stored, kind, exif=exif.tobytes()), LIMITS)
    assert (photo.width, photo.height) == (60, 40)
    image = decoded(photo)
    assert is_about(image, (10, 8), (0, 0, 255))
    assert is_about(image, (10, 32), RED)
    assert is_about(image, (50, 8), WHITE)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_counts_as_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(half_red(), "JPEG", exif=exif.tobytes())
    assert read_photo(data, LIMITS).jpeg == data


@pytest.mark.parametrize("size", [(900, 600), (600, 900), (1000, 3), (3, 1000)])
def test_a_large_photo_is_shrunk_once_and_boxes_find_back(size: tuple[int, int]) -> None:
    photo = read_photo(encoded(half_red(*size), "JPEG"), LIMITS)
    assert max(photo.sent_width, photo.sent_height) == 256
    assert (photo.width, photo.height) == size
    whole = Tag("all", 1.0, (0.0, 0.0, float(photo.sent_width), float(photo.sent_height)))
    assert photo.on_original(whole).box == pytest.approx((0, 0, *size))
    decoded(photo)


def test_what_the_stages_get_stays_small_even_where_the_photo_is_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    photo = read_photo(
        encoded(Image.fromarray(noise), "JPEG", quality=95),
        Limits(max_pixels=1_000_000, max_edge=1024),
    )
    assert len(photo.jpeg) <= MAX_SENT_BYTES


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(BadImage, match="empty") as caught:
        read_photo(b"", LIMITS, field="images.3")
    assert caught.value.field == "images.3"


@pytest.mark.parametrize(
    "data",
    [b"x", b"GIF89a", b"\xff\xd8\xff", b"<svg/>", b"%PDF-1.7", b"II*\0", b"BM" + b"\xff" * 60],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(BadImage):
        read_photo(data, LIMITS)


def test_a_format_that_we_do_not_name_is_refused() -> None:
    with pytest.raises(BadImage, match="JPEG, PNG, WebP, GIF or BMP"):
        read_photo(encoded(half_red(), "TIFF"), LIMITS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_image_is_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(BadImage):
        read_photo(data[: int(len(data) * share)], LIMITS)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(BadImage, match="animated"):
        read_photo(data, LIMITS)


def test_more_bytes_than_allowed_are_refused_unread() -> None:
    with pytest.raises(ImageTooLarge, match="bytes"):
        read_photo(b"\0" * 11, LIMITS.model_copy(update={"max_bytes": 10}))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_bomb_is_refused_by_its_header(kind: str) -> None:
    data = bytearray(encoded(Image.new("1" if kind == "BMP" else "L", (8, 8)), kind))
    big = 60_000
    at, order = {
        "JPEG": (0, "big"),
        "PNG": (16, "big"),
        "GIF": (6, "little"),
        "BMP": (18, "little"),
    }[kind]
    size = 2 if kind in {"JPEG", "GIF"} else 4
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
    for offset in (at, at + size):
        data[offset : offset + size] = big.to_bytes(size, order)  # type: ignore[arg-type]
    if kind == "PNG":
        import zlib

        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageTooLarge, match="pixels"):
        read_photo(bytes(data), LIMITS)


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of an image with some of them overwritten, cut out or cut off."""

    def damage(places: list[tuple[int, int]], cut: int) -> bytes:
        found = bytearray(data)
        for place, value in places:
            found[place % len(found)] = value
        return bytes(found[: len(found) - cut])

    places = st.lists(st.tuples(st.integers(0, len(data)), st.integers(0, 255)), max_size=8)
    return st.builds(damage, places, st.integers(0, 20))


def only_bad_image(read: Callable[[], ReceivedPhoto]) -> None:
    with contextlib.suppress(BadImage):
        decoded(read()).load()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=150)
@given(data=st.data())
def test_damaged_images_raise_nothing_but_bad_image(data: st.DataObject) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP"]))
    options = {"exif": exif.tobytes()} if kind in {"JPEG", "PNG", "WEBP"} else {}
    image = data.draw(damaged(encoded(half_red(24, 16), kind, **options)))
    only_bad_image(lambda: read_photo(image, LIMITS))


@settings(max_examples=100)
@given(
    head=st.sampled_from(
        [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBPVP8 "]
    ),
    rest=st.binary(max_size=200),
)
def test_arbitrary_bytes_raise_nothing_but_bad_image(head: bytes, rest: bytes) -> None:
    only_bad_image(lambda: read_photo(head + rest, LIMITS))


async def test_photos_are_read_beside_the_event_loop() -> None:
    before = set(threading.enumerate())
    reader = PhotoReader(LIMITS, threads=1)
    photos = await asyncio.gather(*(reader.read(encoded(half_red())) for _ in range(3)))
    assert len(photos) == 3
    started = [thread.name for thread in set(threading.enumerate()) - before]
    assert started == ["photos_0"]


@pytest.mark.parametrize(("grey", "expected"), [(0, 0.0), (255, 1.0), (51, 0.2)])
def test_the_mean_brightness_of_a_photo_is_told(grey: int, expected: float) -> None:
    for image in (Image.new("RGB", (64, 48), (grey,) * 3), Image.new("L", (3000, 20), grey)):
        photo = read_photo(encoded(image, "JPEG"), LIMITS)
        assert photo.intensity == pytest.approx(expected, abs=0.01)
