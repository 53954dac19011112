"""Still pictures as decoders give them, and labelled sets in a folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import ConfigError
from operators.frame import to_bgr
from operators.shown import Shown
from operators.stills import Labelled, decode_image, frame_of, picture_of, planar, read_images, read_labelled

HEADER = "file,xmin,ymin,xmax,ymax\n"


def encoded(grey: int, width: int = 8, height: int = 6) -> bytes:
    return bytes(cv2.imencode(".png", np.full((height, width, 3), grey, np.uint8))[1])


def write_archive(path: Path, **files: bytes) -> None:
    """Files in a folder `./pictures/`, as `tar c .` names them; the folder itself is a member too."""
    with tarfile.open(path, "w") as tape:
        folder = tarfile.TarInfo("./pictures")
        folder.type = tarfile.DIRTYPE
        tape.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(f"./pictures/{name}.png")
            member.size = len(content)
            tape.addfile(member, io.BytesIO(content))


def test_planes_lie_one_below_the_other() -> None:
    """4 x 2 pixels: 8 samples of luma, then two of each colour."""
    picture = planar(np.arange(12, dtype=np.uint8).reshape(3, 4))

    assert [plane.tolist() for plane in picture.planes] == [[[0, 1, 2, 3], [4, 5, 6, 7]], [[8, 9]], [[10, 11]]]
    assert picture.format.name == "yuv420p"


@pytest.mark.parametrize(
    ("size", "coded"),
    [((8, 6), (8, 6)), ((7, 6), (8, 6)), ((8, 5), (8, 6)), ((7, 5), (8, 6)), ((1, 1), (2, 2))],
)
def test_odd_sizes_repeat_their_last_line(size: tuple[int, int], coded: tuple[int, int]) -> None:
    width, height = size
    grey = np.arange(width * height, dtype=np.uint8).reshape(height, width) * 4
    image = np.repeat(grey[:, :, None], 3, axis=2)

    picture = picture_of(image)

    shown = to_bgr(picture)
    assert (picture.width, picture.height) == coded
    assert np.abs(shown[:height, :width].astype(int) - image).max() <= 2
    assert np.array_equal(shown[:, -1], shown[:, width - 1])
    assert np.array_equal(shown[-1], shown[height - 1])


@pytest.mark.parametrize("colour", [(0, 0, 255), (0, 255, 0), (255, 0, 0), (40, 90, 200)], ids=str)
def test_colours_come_back(colour: tuple[int, int, int]) -> None:
    shown = to_bgr(picture_of(np.full((4, 6, 3), colour, np.uint8)))

    assert np.abs(shown.astype(int) - colour).max() <= 3


def test_a_still_as_a_frame() -> None:
    image: NDArray[np.uint8] = np.zeros((6, 8, 3), np.uint8)

    frame, plain = frame_of(image, 50, stream="door", shown=Shown.turned(90)), frame_of(image)

    assert (frame.stream, frame.index, frame.time_s, frame.shown.rotation) == ("door", 50, 2.0, 90)
    assert (plain.stream, plain.index, plain.time_s, plain.shown) == ("still", 0, 0.0, Shown())
    assert (len(plain.faces), plain.examined, plain.covers) == (0, False, ())


def test_images_are_decoded_to_three_colours() -> None:
    grey = bytes(cv2.imencode(".png", np.full((2, 3), 77, np.uint8))[1])

    assert decode_image(grey).tolist() == np.full((2, 3, 3), 77).tolist()
    with pytest.raises(ValueError, match="not an image: b'no image'"):
        decode_image(b"no image")


def test_an_archive_is_read_without_its_folders(tmp_path: Path) -> None:
    write_archive(tmp_path / "images.tar", b=b"second", a=b"first")

    assert read_images(tmp_path / "images.tar") == {"pictures/b.png": b"second", "pictures/a.png": b"first"}


def test_a_labelled_set_is_in_the_order_of_its_names(tmp_path: Path) -> None:
    write_archive(tmp_path / "images.tar", b=encoded(200), a=encoded(50), unlabelled=encoded(0))
    lines = "b.png,1,2,3,4\na.png,0,0,8,6\nb.png,4,3,6.5,5\n"
    (tmp_path / "boxes.csv").write_text(HEADER + lines)

    first, second = read_labelled(tmp_path)

    assert first.boxes.tolist() == [[0, 0, 8, 6]]
    assert second.boxes.tolist() == [[1, 2, 3, 4], [4, 3, 6.5, 5]]
    assert [int(one.frame.bgr.mean()) for one in (first, second)] == [
        pytest.approx(50, abs=1),
        pytest.approx(200, abs=1),
    ]


@pytest.mark.parametrize(
    ("boxes", "images"),
    [
        pytest.param(None, True, id="no boxes"),
        pytest.param(HEADER + "a.png,1,2,3,4\n", False, id="no images"),
        pytest.param(HEADER + "c.png,1,2,3,4\n", True, id="boxes of another picture"),
        pytest.param(HEADER + "a.png,1,2,3,four\n", True, id="not a number"),
        pytest.param("file,left,top,right,bottom\na.png,1,2,3,4\n", True, id="other columns"),
    ],
)
def test_a_folder_that_is_no_labelled_set(tmp_path: Path, boxes: str | None, images: bool) -> None:
    if boxes is not None:
        (tmp_path / "boxes.csv").write_text(boxes)
    if images:
        write_archive(tmp_path / "images.tar", a=encoded(50))

    with pytest.raises(ConfigError, match=r"expected boxes\.csv \(file,xmin,ymin,xmax,ymax\) and images\.tar"):
        read_labelled(tmp_path)


def test_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(HEADER)
    (tmp_path / "images.tar").write_bytes(b"no archive")

    with pytest.raises(ConfigError, match=r"images\.tar: ReadError"):
        read_labelled(tmp_path)


def test_a_labelled_picture_is_decoded_when_asked_for() -> None:
    broken = Labelled(b"no image", np.zeros((1, 4)))

    with pytest.raises(ValueError, match="not an image"):
        _ = broken.frame
