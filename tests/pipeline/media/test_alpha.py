"""What an alpha channel hides comes out black, however the channel is stored; what nobody can know is not shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.format import VideoFormat
from numpy.typing import NDArray

from pipeline.media import Decoded, Undecodable
from pipeline.media.alpha import AlphaStream, has_alpha, lay_over_black
from pipeline.wire import Packet
from tests.pipeline.media.passing import decode, demux

WIDTH, HEIGHT, COUNT = 64, 48, 6
VP9 = "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "crf": "20", "deadline": "realtime", "cpu-used": "8"}
VP8 = "libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "10", "b": "1M", "deadline": "realtime"}
KINDS = [
    pytest.param("vp9.webm", *VP9, id="VP9, a stream of its own"),
    pytest.param("vp8.webm", *VP8, id="VP8, a stream of its own"),
    pytest.param("prores.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}, id="ProRes, a plane of ten bits"),
    pytest.param("raw.avi", "rawvideo", "bgra", {}, id="RGB with alpha"),
]


def half_hidden(path: Path, codec: str, name: str, options: dict[str, str]) -> Path:
    """Light pictures, whose right half lies under alpha 0, and the rest under alpha 255."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = WIDTH, HEIGHT, name, options
        picture = np.full((HEIGHT, WIDTH, 4), 200, np.uint8)
        picture[..., 3] = np.where(np.arange(WIDTH) < WIDTH // 2, 255, 0)
        for _ in range(COUNT):
            frame = av.VideoFrame.from_ndarray(picture, format="bgra")
            file.mux(stream.encode(frame.reformat(format=name)))
        file.mux(stream.encode(None))
    return path


def lumas(path: Path, packets: list[Packet] | None = None) -> list[NDArray[Any] | str]:
    """8 bits of each picture, or why there is none."""
    head, read = demux(path)
    came: list[NDArray[Any] | str] = []
    for item in decode(head, packets or read):
        if isinstance(item, Decoded):
            luma = item.picture.planes[0]
            came.append((luma >> (item.picture.format.bits - 8)).astype(np.uint8))
        elif isinstance(item, Undecodable):
            came.append(item.detail)
    return came


@pytest.mark.parametrize(("name", "codec", "pixels", "options"), KINDS)
def test_what_was_hidden_is_black(tmp_path: Path, name: str, codec: str, pixels: str, options: dict[str, str]) -> None:
    path = half_hidden(tmp_path / name, codec, pixels, options)

    came = lumas(path)

    assert demux(path)[0].shown.alpha
    assert len(came) == COUNT
    for luma in came:
        assert not isinstance(luma, str)
        assert luma[:, : WIDTH // 2 - 4].min() > 150
        assert luma[:, WIDTH // 2 + 4 :].max() <= 20


def test_a_picture_whose_alpha_is_missing_is_not_shown(tmp_path: Path) -> None:
    path = half_hidden(tmp_path / "vp9.webm", *VP9)
    _, packets = demux(path)
    packets[2].alpha = b""

    came = lumas(path, packets)

    assert [item for item in came if isinstance(item, str)] == ["its alpha channel is missing"]
    assert len(came) == COUNT


def test_alpha_that_cannot_be_decoded_hides_the_picture(tmp_path: Path) -> None:
    path = half_hidden(tmp_path / "vp9.webm", *VP9)
    _, packets = demux(path)
    packets[0].alpha = b"\xff" * 40

    assert isinstance(lumas(path, packets)[0], str)


def test_without_any_alpha_a_stream_is_opaque() -> None:
    stream = AlphaStream("vp9", WIDTH, HEIGHT, 1 << 20)
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")

    stream.send(b"", 0)

    assert stream.take(frame) is None


@pytest.mark.parametrize(("name", "expected"), [("yuva420p", True), ("bgra", True), ("ya8", True), ("yuv444p", False)])
def test_which_pictures_have_alpha(name: str, expected: bool) -> None:
    assert has_alpha(VideoFormat(name)) == expected


@pytest.mark.parametrize(
    ("bits", "full_range", "black", "grey"), [(8, False, 16, 128), (8, True, 0, 128), (10, False, 64, 512)]
)
def test_laid_over_black_by_hand(bits: int, full_range: bool, black: int, grey: int) -> None:
    """Four samples of luma in one of chroma: three in clear, one hidden; then all of them hidden by a half."""
    dtype = np.uint8 if bits == 8 else np.uint16
    y, u, v = (
        np.full(shape, value, dtype) for shape, value in (((2, 4), black + 100), ((1, 2), grey + 40), ((1, 2), 8))
    )
    opacity = np.array([[255, 255, 128, 128], [255, 0, 128, 128]], np.uint8)

    lay_over_black([y, u, v], opacity, bits=bits, full_range=full_range)

    assert y.tolist() == [
        [black + 100, black + 100, black + 50, black + 50],
        [black + 100, black, black + 50, black + 50],
    ]
    assert u.tolist() == [[grey + 30, grey + 20]]
    assert v[0, 1] == round(grey - (grey - 8) * 128 / 255)


def test_opaque_pictures_are_left_alone() -> None:
    y = np.full((2, 2), 7, np.uint8)  # blacker than black

    lay_over_black([y, y[:1, :1].copy(), y[:1, :1].copy()], np.full((2, 2), 255, np.uint8), bits=8, full_range=False)

    assert y.tolist() == [[7, 7], [7, 7]]
