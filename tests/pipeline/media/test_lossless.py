"""FFV1 gives every picture back bit by bit, with its clock, colours and shape."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from engines import FrameError
from operators.frame import PIXEL_FORMATS
from operators.shown import Shown
from pipeline.media import FileMuxer
from pipeline.media.lossless import LosslessEncoder
from pipeline.media.shown import message_of
from pipeline.wire import AudioTrack, Color, Head, rational
from tests.pipeline.sealing.clip import draw, planes_of

HEAD = Head(
    codec="h264", extradata=b"sps", timed=True, time_base=rational(Fraction(1, 1000)), created_us=5, first_pts=7,
    color=Color(range=2, primaries=9, transfer=16, matrix=9), audio=[AudioTrack(track=1, codec="aac")],
    shown=message_of(Shown(Shown.turned(180).matrix, Fraction(16, 11))),
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(PIXEL_FORMATS))
@pytest.mark.parametrize("size", [(64, 48), (37, 21)], ids=["even", "odd"])
def test_pictures_come_back(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    pictures = [draw(name, number, *size) for number in range(4)]
    encoder = LosslessEncoder(HEAD, pictures[0])

    with FileMuxer(tmp_path / "out.mkv", encoder.head) as muxer:
        for number, picture in enumerate(pictures):
            muxer.write(encoder.encode(picture, 40 * number * number, 40))

    back = planes_of(tmp_path / "out.mkv", name)
    assert len(back) == 4
    assert all((a == b).all() for p, q in zip(pictures, back, strict=True) for a, b in zip(p.planes, q, strict=True))
    with av.open(str(tmp_path / "out.mkv")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.16, 0.36])
        assert (stream.codec_context.name, stream.color_range, stream.colorspace) == ("ffv1", 2, 9)
        assert (abs(frames[0].rotation), stream.sample_aspect_ratio) == (180, Fraction(16, 11))
        assert not container.streams.audio


def test_what_a_head_says_of_the_file_it_came_from_is_left_out() -> None:
    made = LosslessEncoder(HEAD, draw("yuv420p", 0)).head

    assert (made.codec, made.created_us, made.first_pts, len(made.audio)) == ("ffv1", 0, 0, 0)
    assert HEAD.codec == "h264"


def test_a_picture_of_another_size() -> None:
    encoder = LosslessEncoder(HEAD, draw("yuv420p", 0))

    for other in (draw("yuv420p", 0, 64, 48), draw("yuv422p", 0)):
        with pytest.raises(FrameError, match="pictures change to"):
            encoder.encode(other, 0, 1)
    with pytest.raises(FrameError, match="FFV1 does not take"):
        LosslessEncoder(HEAD, replace(draw("yuv420p", 0), format=replace(PIXEL_FORMATS["yuv420p"], name="pal8")))
