"""Masked photos get names of their own, lose what files say besides pixels, and replace nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines import ConfigError, StreamError
from pipeline.photos.results import plan_photos, write_photo

IMAGE = np.full((8, 12, 3), (200, 20, 20), np.uint8)


@pytest.mark.parametrize(
    ("photos", "output", "targets"),
    [
        (["in/a.jpg"], None, ["in/a_anonymized.jpg"]),
        (["in/a.JPEG", "in/a.png"], "out", ["out/a_anonymized.jpeg", "out/a_anonymized.png"]),
        (["in/a.jpg", "other/a.jpg"], "out", ["out/a_anonymized.jpg", "out/a_2_anonymized.jpg"]),
        (["in/a.jpg"], "b.webp", ["b.webp"]),
        (["in/a.jfif"], None, ["in/a_anonymized.jfif"]),
        ([f"in/{'ö' * 123}.png"], "out", [f"out/{'ö' * 96}_anonymized.png"]),
    ],
)
def test_where_photos_go(photos: list[str], output: str | None, targets: list[str]) -> None:
    assert [planned.target.as_posix() for planned in plan_photos(photos, output)] == targets


@pytest.mark.parametrize(
    ("photos", "output", "said"),
    [
        (["a.jpg", "b.jpg"], "c.jpg", "one output for 2 photos"),
        (["a.jpg"], "c.mp4", r"expected a name that ends with \.jfif"),
        (["a.jpg"], "c.tiff", "expected a name that ends with"),
        (["a.jpg"], "rtsp://me:secret@server/x", "rtsp://server/x: photos are written to files"),
    ],
)
def test_what_cannot_be_written_is_refused_before(photos: list[str], output: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_photos(photos, output)


@pytest.mark.parametrize(("suffix", "form"), [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_a_photo_is_written_as_its_name_says(tmp_path: Path, suffix: str, form: str) -> None:
    target = tmp_path / "new" / f"a.{suffix}"

    write_photo(target, IMAGE)

    with Image.open(target) as photo:
        assert (photo.format, photo.size, photo.mode) == (form, (12, 8), "RGB")
        assert not photo.getexif()
        red, _, blue = photo.getpixel((3, 3))  # type: ignore[misc]
        assert blue > red + 100


def test_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"somebody's")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")

    for name in ("a.jpg", "link.jpg"):
        with pytest.raises(StreamError, match="is there already, and is not replaced"):
            write_photo(tmp_path / name, IMAGE)

    assert (tmp_path / "a.jpg").read_bytes() == b"somebody's"
    assert not (tmp_path / "elsewhere.jpg").exists()


def test_what_exists_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"of a run before")

    write_photo(target, IMAGE, overwrite=True)

    with Image.open(target) as photo:
        assert photo.size == (12, 8)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_photo_that_is_read_is_never_written(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    both = [str(tmp_path / name) for name in ("a.jpg", "a_anonymized.jpg")]

    with pytest.raises(ConfigError, match="would overwrite a source"):
        plan_photos([str(tmp_path / "a.jpg")], str(tmp_path / "link.jpg"))
    assert [each.target.name for each in plan_photos(both, None)] == [
        "a_2_anonymized.jpg",
        "a_anonymized_anonymized.jpg",
    ]


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StreamError, match=r"a\.jpg: cannot be written"):
        write_photo(tmp_path / "file" / "a.jpg", IMAGE)
