"""Sizes, crops and batches; the pixels are compared with transformers' in tests/integration."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.pixels import decode_jpeg
from models.preprocessing import Preprocessor


def preprocessor(folder: Path, **config: object) -> Preprocessor:
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return Preprocessor.from_folder(folder)


def photo(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), 255, np.uint8)


def test_one_number_is_a_square_for_vit_and_the_shortest_edge_for_detr(tmp_path: Path) -> None:
    vit = preprocessor(tmp_path, feature_extractor_type="ViTFeatureExtractor", size=32)
    assert vit([photo(30, 60)]).shape == (1, 3, 32, 32)
    detr = preprocessor(
        tmp_path, feature_extractor_type="DetrFeatureExtractor", size=32, max_size=60
    )
    assert detr([photo(30, 45)]).shape == (1, 3, 32, 48)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(480, 640, (800, 1066)), (300, 1200, (333, 1333)), (1333, 400, (1333, 400)), (800, 900, None)],
)
def test_detr_keeps_the_aspect_ratio_within_both_edges(
    tmp_path: Path, height: int, width: int, expected: tuple[int, int] | None
) -> None:
    detr = preprocessor(tmp_path, image_processor_type="DetrImageProcessor")
    assert detr([photo(height, width)]).shape[2:] == (expected or (height, width))


def test_photos_of_different_sizes_run_apart_and_keep_their_places(tmp_path: Path) -> None:
    detr = preprocessor(tmp_path, image_processor_type="DetrImageProcessor", size=32, max_size=60)
    groups = detr.by_size([photo(30, 45), photo(45, 30), photo(60, 90)])
    assert [(indices, values.shape) for indices, values in groups] == [
        ([0, 2], (2, 3, 32, 48)),
        ([1], (1, 3, 48, 32)),
    ]
    with pytest.raises(ValueError, match="2 sizes"):
        detr([photo(30, 45), photo(45, 30)])


def test_clip_takes_the_middle_of_the_photo(tmp_path: Path) -> None:
    clip = preprocessor(
        tmp_path,
        image_processor_type="CLIPImageProcessor",
        size={"shortest_edge": 10},
        crop_size=10,
        do_normalize=False,
    )
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert clip([wide]).min() == 1.0


def test_a_photo_smaller_than_the_crop_gets_a_black_border(tmp_path: Path) -> None:
    clip = preprocessor(
        tmp_path,
        image_processor_type="CLIPImageProcessor",
        do_resize=False,
        crop_size={"height": 6, "width": 8},
        do_normalize=False,
    )
    values = clip([photo(2, 4)])
    assert values.shape == (1, 3, 6, 8)
    assert values.sum() == 3 * 2 * 4
    assert values[0, :, 2:4, 2:6].min() == 1.0


def test_normalising_maps_black_and_white_by_mean_and_deviation(tmp_path: Path) -> None:
    vit = preprocessor(
        tmp_path,
        image_processor_type="ViTImageProcessor",
        do_resize=False,
        image_mean=[0.5, 0.25, 0.0],
        image_std=[0.5, 0.25, 2.0],
    )
    values = vit([photo(1, 1)])[0, :, 0, 0]
    np.testing.assert_allclose(values, [1.0, 3.0, 0.5], atol=1e-6)


def test_an_unknown_image_processor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="LevitImageProcessor"):
        preprocessor(tmp_path, image_processor_type="LevitImageProcessor")


def test_padding_to_a_fixed_size_is_refused(tmp_path: Path) -> None:
    pad_size = {"height": 640, "width": 640}
    kind = "RTDetrImageProcessor"
    preprocessor(tmp_path, image_processor_type=kind, do_pad=False, pad_size=pad_size)
    with pytest.raises(ValueError, match="padding"):
        preprocessor(tmp_path, image_processor_type=kind, do_pad=True, pad_size=pad_size)


def test_a_jpeg_is_decoded_to_rgb_whatever_its_own_mode() -> None:
    for mode in ("RGB", "L", "CMYK"):
        buffer = BytesIO()
        Image.new(mode, (7, 5)).save(buffer, "JPEG")
        decoded = decode_jpeg(buffer.getvalue())
        assert decoded.shape == (5, 7, 3)
        assert decoded.dtype == np.uint8


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("size", [(64, 48), (33, 17), (1, 1)])
def test_a_jpeg_has_the_pixels_that_pillow_sees(size: tuple[int, int], subsampling: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    for progressive in (False, True):
        buffer = BytesIO()
        options = {"subsampling": subsampling, "progressive": progressive}
        Image.fromarray(noise).save(buffer, "JPEG", **options)
        decoded = decode_jpeg(buffer.getvalue())
        np.testing.assert_array_equal(decoded, np.array(Image.open(buffer)))
        assert decoded.flags.writeable


def test_stray_bytes_before_a_marker_are_no_damage() -> None:
    buffer = BytesIO()
    Image.new("RGB", (16, 16), "teal").save(buffer, "JPEG")
    plain = buffer.getvalue()
    frame = plain.index(b"\xff\xc0")
    stray = plain[:frame] + b"\x00\x00" + plain[frame:]
    np.testing.assert_array_equal(decode_jpeg(stray), decode_jpeg(plain))


def test_what_is_not_a_whole_jpeg_is_refused() -> None:
    buffer = BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    png = BytesIO()
    Image.new("RGB", (4, 4)).save(png, "PNG")
    for data in (b"", b"no photo", buffer.getvalue()[:900], png.getvalue()):
        with pytest.raises(ValueError, match="not a whole JPEG"):
            decode_jpeg(data)
