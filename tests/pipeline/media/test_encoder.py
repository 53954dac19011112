"""Bits that repeat, keyframes where they are wanted, options that are known, and a clock without gaps."""

from __future__ import annotations

import numpy as np
import pytest

from engines import ConfigError, FrameError
from operators.frame import PIXEL_FORMATS, Picture
from pipeline.media import Encoder, EncoderClock, masked_head, working_encoder
from pipeline.media.encoder import ENCODERS, options_of, works
from pipeline.wire import AudioTrack, Color, Head, Packet, Rational

HEAD = Head(
    codec="hevc",
    width=64,
    height=48,
    pixel_format="yuv420p",
    time_base=Rational(num=1, den=90000),
    rate=Rational(num=25, den=1),
    color=Color(range=1, primaries=1, transfer=1, matrix=1),
    rotation=90,
    audio=[AudioTrack(track=1, codec="aac")],
)
TICK = 3600


def picture(number: int, width: int = 64, height: int = 48, name: str = "yuv420p") -> Picture:
    layout = PIXEL_FORMATS[name]
    noise = np.random.default_rng(number // 8)
    planes = [noise.integers(16, 235, shape).astype(layout.dtype) for shape in layout.plane_shapes(width, height)]
    planes[0][:, (number * 2) % width :] = 90
    return Picture((planes[0], planes[1], planes[2]), layout)


def encoded(count: int, **options: object) -> list[Packet]:
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48, **options)  # type: ignore[arg-type]
    packets = [p for i in range(count) for p in encoder.encode(picture(i), i * TICK, TICK, key=i in (0, 5))]
    return packets + encoder.flush()


def test_every_picture_becomes_one_packet() -> None:
    packets = encoded(20)

    assert sorted(p.pts for p in packets) == [i * TICK for i in range(20)]
    assert {p.duration for p in packets} == {TICK}
    assert {p.pts for p in packets if p.key} == {0, 5 * TICK}
    assert [p.pts for p in packets] != sorted(p.pts for p in packets)  # with B-frames


def test_the_same_pictures_give_the_same_bytes() -> None:
    assert encoded(20) == encoded(20)


def test_low_latency_holds_nothing_back() -> None:
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48, low_latency=True)

    for i in range(6):
        (packet,) = encoder.encode(picture(i), i * TICK, TICK, key=i == 3)
        assert (packet.pts, packet.dts, packet.key) == (i * TICK, i * TICK, i in (0, 3))
    assert encoder.flush() == []


def test_the_picture_is_copied() -> None:
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48)
    scratch = picture(0)

    packets = []
    for i in range(20):
        fresh = picture(i)
        for plane, pixels in zip(scratch.planes, fresh.planes, strict=True):
            plane[:] = pixels
        packets += encoder.encode(scratch, i * TICK, TICK, key=i in (0, 5))
        for plane in scratch.planes:
            plane[:] = 0
    packets += encoder.flush()

    assert packets == encoded(20)


@pytest.mark.parametrize(
    ("name", "width", "height"), [("yuv444p", 33, 17), ("yuv422p", 64, 47), ("yuv420p10le", 64, 48), ("yuv444p", 1, 1)]
)
def test_other_layouts_are_taken(name: str, width: int, height: int) -> None:
    encoder = Encoder(HEAD, PIXEL_FORMATS[name], width, height)

    packets = encoder.encode(picture(0, width, height, name), 0, TICK, key=True) + encoder.flush()

    assert [p.key for p in packets] == [True]


def test_another_size_is_refused_and_never_rescaled() -> None:
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48)

    with pytest.raises(FrameError, match="encoder of 64x48 yuv420p: got 32x48 yuv420p; open a new one"):
        encoder.encode(picture(0, 32, 48), 0, TICK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"colour": "red"}}, "libx264 has no option colour to set; known: .*aq-mode.*tune"),
        ({"options": {"threads": "8"}}, "no option threads"),
        ({"options": {"tune": "jazz"}}, "libx264 does not take .*tune=jazz"),
        ({"options": {"x264-params": "keyint=9:bframse=2"}}, "bframse"),
        ({"preset": "warp"}, "libx264 does not take preset=warp"),
        ({"encoder": "mpeg4"}, "encoder: expected one of libx264, h264_nvenc, got 'mpeg4'"),
    ],
)
def test_what_the_encoder_does_not_know_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encoded(1, **arguments)


def test_options_reach_the_encoder() -> None:
    many = encoded(20, options=options_of(["x264-params=keyint=4:scenecut=0", "bf=0"]))

    assert [p.key for p in many].count(True) >= 5
    assert sum(len(p.data) for p in encoded(20, crf=45)) < sum(len(p.data) for p in encoded(20, crf=15))


def test_an_option_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected key=value, got 'tune'"):
        options_of(["tune"])


def test_the_head_tells_a_sink_all() -> None:
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48)

    head = masked_head(HEAD, encoder)

    assert (head.codec, head.width, head.height, head.pixel_format) == ("h264", 64, 48, "yuv420p")
    assert head.extradata == Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48).extradata
    assert (head.rotation, head.time_base, head.color, head.audio) == (90, HEAD.time_base, HEAD.color, HEAD.audio)
    assert head.timed


def test_colors_of_rgb_sources_are_what_they_were_converted_to() -> None:
    source = Head(
        pixel_format="bgra", time_base=HEAD.time_base, color=Color(range=2, primaries=2, transfer=2, matrix=0)
    )

    encoder = Encoder(source, PIXEL_FORMATS["yuv420p"], 64, 48)

    assert (encoder.color.range, encoder.color.matrix) == (1, 6)


def test_the_clock_goes_on_over_units() -> None:
    clock, packets = EncoderClock(), []
    for unit in ([0, 30, 10, 20], [40], [70, 50, 60]):
        made = [Packet(pts=pts, duration=10) for pts in unit]
        clock.stamp(made)
        clock = EncoderClock.from_bytes(clock.to_bytes())
        packets += made

    assert [p.dts for p in packets] == [-20, -10, 0, 10, 20, 30, 40, 50]
    assert all(p.dts <= p.pts for p in packets)


def test_an_empty_unit_leaves_the_clock_alone() -> None:
    clock = EncoderClock()

    clock.stamp([])

    assert clock.to_bytes() == b""


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_an_encoder_is_tried_before_it_is_chosen(name: str) -> None:
    layout = PIXEL_FORMATS[name]

    chosen = working_encoder("auto", HEAD, layout, 320, 240)

    assert chosen in ENCODERS
    assert works(chosen, HEAD, layout, 320, 240)
    assert works("libx264", HEAD, layout, 320, 240)
    assert not works("libx264", HEAD, PIXEL_FORMATS["yuv420p"], 321, 240)  # which it does not take


def test_an_encoder_that_is_named_is_not_tried() -> None:
    assert working_encoder("h264_nvenc", HEAD, PIXEL_FORMATS["yuv420p"], 320, 240) == "h264_nvenc"
