"""Field pictures: which packet completes a frame, and that two packets of one frame are no loss."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from operators.stills import picture_of
from pipeline.media import Encoder, FileMuxer, masked_head
from pipeline.media.fields import FieldPairs
from pipeline.media.intake import Intake, NeverShown, PacketOutcome, PictureCame
from pipeline.media.shown import of_head
from pipeline.wire import fraction
from tests import field_pictures
from tests.field_pictures import slice_head
from tests.pipeline.media.passing import demux, plain

SETS = field_pictures.parameter_sets(64, 64)
FRAMES = [np.full((64, 64, 3), 20 * n, np.uint8) for n in range(1, 9)]


def field(number: int, *, bottom: bool, sets: bool = False) -> bytes:
    return (SETS if sets else b"") + slice_head(number, second=bottom, bottom=bottom)


def framed(data: bytes) -> bytes:
    """Each unit after its length in four bytes, as in mp4."""
    units = data.split(b"\0\0\0\1")[1:]
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def record() -> bytes:
    """An AVCDecoderConfigurationRecord of the parameter sets."""
    _, sps, pps = SETS.split(b"\0\0\0\1")
    one = b"\x01" + sps[1:4] + b"\xff\xe1" + len(sps).to_bytes(2, "big") + sps
    return one + b"\x01" + len(pps).to_bytes(2, "big") + pps


@pytest.mark.parametrize("as_mp4", [False, True])
def test_the_second_field_completes_the_first(as_mp4: bool) -> None:
    pairs = FieldPairs("h264", record() if as_mp4 else b"")
    packets = [field(0, bottom=bottom, sets=not as_mp4) for bottom in (False, True, False, True)]

    assert [pairs.completes(framed(data) if as_mp4 else data) for data in packets] == [False, True, False, True]
    assert pairs.first == "top"


def test_a_lost_field_completes_nothing() -> None:
    """Two top fields in a row, a bottom one of the second, then one more that has no partner."""
    pairs = FieldPairs("h264", SETS)

    done = [pairs.completes(field(0, bottom=bottom)) for bottom in (False, False, True, True, False)]

    assert done == [False, False, True, False, True]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0\0\1", id="an empty unit"),
        pytest.param(b"\0\0\1\x65", id="a slice that breaks off"),
        pytest.param(b"\0\0\1\x67" + bytes(20), id="parameters that are none"),
        pytest.param(b"\0\0\1\x65" + bytes(2000), id="a number without an end"),
    ],
)
def test_broken_units_are_passed_over(data: bytes) -> None:
    pairs = FieldPairs("h264", SETS)

    assert [pairs.completes(part) for part in (data, field(0, bottom=True), data)] == [False] * 3


def test_other_codecs_have_none() -> None:
    pairs = FieldPairs("hevc", SETS)

    assert [pairs.completes(field(0, bottom=bottom)) for bottom in (False, True)] == [False, False]


@pytest.mark.parametrize("suffix", ["ts", "mp4", "mkv"])
def test_n_frames_of_2_n_packets(tmp_path: Path, suffix: str) -> None:
    path = field_pictures.write(tmp_path / f"fields.{suffix}", FRAMES)
    head, packets = demux(path)
    intake = Intake(head, slots=20)
    came: list[PacketOutcome] = []

    for packet in packets:
        intake.send(packet)
    intake.finish()
    while not intake.done:
        came += intake.outcomes(0.5)
    came += intake.silent()
    intake.close()

    assert Counter(map(type, came)) == {PictureCame: len(FRAMES), NeverShown: len(FRAMES)}
    ticks = [item.packet.duration for item in came if isinstance(item, PictureCame)]
    assert [float(count * fraction(head.time_base)) for count in ticks] == pytest.approx([0.04] * 8, abs=0.021)
    assert float(fraction(head.rate)) == pytest.approx(25, abs=2)


@pytest.mark.parametrize("bottom_first", [False, True])
def test_the_order_of_fields_gets_into_the_result(tmp_path: Path, bottom_first: bool) -> None:
    order = "bottom" if bottom_first else "top"
    source, _ = demux(field_pictures.write(tmp_path / "fields.ts", FRAMES, bottom_first=bottom_first))
    picture = picture_of(FRAMES[0])
    encoder = Encoder(source, picture.format, picture.width, picture.height)
    packets = [packet for n in range(4) for packet in encoder.encode(picture, n * 3600, 3600)] + encoder.flush()

    with FileMuxer(tmp_path / "made.mkv", masked_head(source, encoder)) as muxer:
        for packet in packets:
            muxer.write(packet)

    assert of_head(source).field_order == order
    made, _ = demux(tmp_path / "made.mkv")
    assert of_head(made).field_order == order
    assert len(plain(tmp_path / "made.mkv")) == 4
