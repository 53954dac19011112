"""How wide a Matroska file is shown is written into it afterwards, and nothing else in it changes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from operators.shown import Shown
from operators.stills import picture_of
from pipeline.media import Encoder, FileMuxer, masked_head
from pipeline.media.matroska import PLACEHOLDER, display_size, state_display_size
from pipeline.media.shown import message_of
from pipeline.wire import Head, Packet, Rational

DISPLAY_WIDTH, DISPLAY_HEIGHT = b"\x54\xb0\x84", b"\x54\xba\x84"


def written(path: Path, coded: Fraction, stated: Fraction, *, turned: int = 0) -> Path:
    """Four pictures that say `coded` of their samples, under a head that says `stated`."""
    picture = picture_of(np.zeros((48, 64, 3), np.uint8))
    source = Head(
        codec="h264", width=64, height=48, pixel_format="yuv420p", time_base=Rational(num=1, den=1000),
        rate=Rational(num=25, den=1), shown=message_of(Shown.turned(turned, sample_aspect=coded)),
    )  # fmt: skip
    encoder = Encoder(source, picture.format, 64, 48)
    packets = [packet for n in range(4) for packet in encoder.encode(picture, 40 * n, 40)] + encoder.flush()
    head = masked_head(source, encoder)
    head.shown.CopyFrom(message_of(Shown.turned(turned, sample_aspect=stated)))
    with FileMuxer(path, head) as muxer:
        for packet in packets:
            muxer.write(packet)
    return path


def read(path: Path) -> tuple[Fraction | None, list[Packet]]:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return stream.sample_aspect_ratio, [
            Packet(pts=packet.pts, data=bytes(packet)) for packet in file.demux(stream) if packet.size
        ]


@pytest.mark.parametrize("turned", [0, 90])
@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 4), Fraction(16, 11), Fraction(45, 44)])
def test_the_container_says_how_wide_it_is_shown(tmp_path: Path, aspect: Fraction, turned: int) -> None:
    """Whatever the pictures in it say."""
    path = written(tmp_path / "made.mkv", Fraction(4, 3), aspect, turned=turned)

    data = path.read_bytes()
    width, height = (
        int.from_bytes(data[data.index(mark) + 3 : data.index(mark) + 7], "big")
        for mark in (DISPLAY_WIDTH, DISPLAY_HEIGHT)
    )
    assert Fraction(width, height) == 64 * aspect / 48
    assert read(path)[0] == aspect
    assert PLACEHOLDER.encode() not in data
    assert len(read(path)[1]) == 4


def test_square_samples_are_left_as_they_are(tmp_path: Path) -> None:
    data = written(tmp_path / "made.mkv", Fraction(1), Fraction(1)).read_bytes()

    assert DISPLAY_WIDTH not in data
    assert PLACEHOLDER.encode() not in data


@pytest.mark.parametrize(
    ("shape", "aspect", "shown"),
    [
        ((320, 720), Fraction(4), (1280, 720)),
        ((720, 576), Fraction(64, 45), (1024, 576)),
        ((720, 576), Fraction(45, 44), (675, 528)),  # exactly, and about as large
        ((720, 480), Fraction(10, 11), (660, 484)),
        ((1918, 1080), Fraction(4095, 4093), (1919, 1080)),  # there is no exact one of sixteen bits
    ],
)
def test_display_sizes(shape: tuple[int, int], aspect: Fraction, shown: tuple[int, int]) -> None:
    assert display_size(*shape, aspect) == shown


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x1a\x45\xdf\xa3\x84", id="breaks off"),
        pytest.param(
            b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + b"\x16\x54\xae\x6b\x82\xae\x80", id="no video"
        ),
        pytest.param(bytes(64), id="zeros"),
        pytest.param(PLACEHOLDER.encode() * 9, id="something else"),
    ],
)
def test_what_is_no_such_file_stays_as_it_is(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)

    assert not state_display_size(path, 4, 3)
    assert path.read_bytes() == data
