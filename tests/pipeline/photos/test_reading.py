"""What a photo shows is read, whatever its file looks like; what is none is refused in a sentence."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from engines import StreamError
from pipeline.jail.parent import JailLimits
from pipeline.photos.reading import read_photo

LIMITS = JailLimits(timeout_s=20.0, max_pixels=1 << 16)
ORIENTATION, NAME = 274, 0x010E
TURNED_TO_THE_RIGHT = 6


def picture(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Its left half is brighter than the right one."""
    grey = np.full((size[1], size[0]), 40, np.uint8)
    grey[:, : size[0] // 2] = 200
    return Image.fromarray(grey).convert(mode)


def saved(photo: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    photo.save(file, form, **options)
    return file.getvalue()


def exif() -> Image.Exif:
    stated = Image.Exif()
    stated[ORIENTATION], stated[NAME] = TURNED_TO_THE_RIGHT, "Eva Example"
    return stated


def grey_16() -> Image.Image:
    return Image.fromarray(np.asarray(picture("L")).astype(np.uint16) * 257)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ANIMATED = {"save_all": True, "append_images": [picture().rotate(180)]}
TAKEN = {
    "jpeg": (saved(picture(), "JPEG"), ""),
    "png": (saved(picture(), "PNG"), ""),
    "webp": (saved(picture(), "WEBP"), ""),
    "grey jpeg": (saved(picture("L"), "JPEG"), ""),
    "palette": (saved(picture("P"), "PNG"), ""),
    "one bit": (saved(picture("1"), "PNG"), ""),
    "cmyk": (saved(picture("CMYK"), "JPEG"), "CMYK becomes RGB"),
    "alpha": (saved(picture("RGBA"), "PNG"), "what is transparent becomes white"),
    "grey with alpha": (saved(picture("LA"), "PNG"), "what is transparent becomes white"),
    "16 bit": (saved(grey_16(), "PNG"), "16 bits a channel become 8"),
    "a profile": (
        saved(picture(), "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        "",
    ),
    "a broken profile": (saved(picture(), "PNG", icc_profile=b"no profile at all" * 9), "colours are taken as sRGB"),
    "two pictures of a phone": (saved(picture(), "MPO", **ANIMATED), "1 further picture within it is left out"),
    "one pixel": (saved(picture(size=(2, 1)), "PNG"), ""),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_photo_is_read_as_it_is_shown(tmp_path: Path, name: str) -> None:
    content, note = TAKEN[name]
    (tmp_path / "photo").write_bytes(content)

    photo = read_photo(tmp_path / "photo", LIMITS)

    left, right = photo.image[0, 0], photo.image[-1, -1]
    assert photo.image.shape == ((1, 2, 3) if name == "one pixel" else (40, 60, 3))
    assert left.min() > right.max() + 50
    assert [text for text in photo.notes if note not in text] == []
    assert bool(photo.notes) == bool(note)


def test_a_photo_is_turned_as_its_orientation_says(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(saved(picture(), "JPEG", exif=exif()))

    image = read_photo(tmp_path / "photo.jpg", LIMITS).image

    assert image.shape == (60, 40, 3)
    assert image[0].mean() > image[-1].mean() + 50  # what lay left is above


def test_colours_are_in_their_order(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (250, 10, 20)).save(tmp_path / "red.png")

    assert read_photo(tmp_path / "red.png", LIMITS).image[0, 0].tolist() == [20, 10, 250]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (saved(picture(), "PNG", **ANIMATED), "is animated, with 2 pictures"),
        (saved(picture(), "WEBP", **ANIMATED), "is animated, with 2 pictures"),
        (saved(picture(), "GIF"), "is no JPEG, PNG or WebP"),
        (saved(picture(), "TIFF"), "is no JPEG, PNG or WebP"),
        (saved(picture(size=(300, 300)), "PNG"), "has 300x300 pixels; at most 65536"),
        (saved(picture(), "JPEG")[:400], "breaks off|broken"),
        (saved(picture(), "JPEG")[:-60], "breaks off|broken"),
        (saved(picture(), "PNG")[:-30], "breaks off|broken"),
        (saved(picture(), "WEBP")[:-10], "breaks off|broken"),
        (b"", "is no JPEG"),
        (b"\xff\xd8\xff" + bytes(99), "broken"),
    ],
)
def test_what_is_no_whole_photo_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)

    with pytest.raises(StreamError, match=said) as raised:
        read_photo(tmp_path / "photo.jpg", LIMITS)

    assert str(tmp_path / "photo.jpg") in str(raised.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="is no file"):
        read_photo(tmp_path, LIMITS)
