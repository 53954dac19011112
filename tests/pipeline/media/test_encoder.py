"""Bits that repeat, keyframes where they are wanted, options that are known, and a clock without gaps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import av.filter
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import ConfigError, FrameError
from operators.frame import PIXEL_FORMATS, Picture
from operators.shown import Shown
from pipeline.media import Encoder, EncoderClock, masked_head, working_encoder
from pipeline.media.buffers import samples
from pipeline.media.encoder import ENCODERS, LARGE_BYTES, options_of, works
from pipeline.media.shown import message_of
from pipeline.wire import AudioTrack, Color, Head, Packet, Rational

HEAD = Head(
    codec="hevc",
    width=64,
    height=48,
    pixel_format="yuv420p",
    time_base=Rational(num=1, den=90000),
    rate=Rational(num=25, den=1),
    color=Color(range=1, primaries=1, transfer=1, matrix=1),
    shown=message_of(Shown.turned(90)),
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


@pytest.mark.parametrize("pts", [TICK, TICK - 1, -TICK, 1 << 62, -(1 << 63) + 1])
def test_a_time_stamp_that_does_not_grow_or_leaves_no_room_is_refused(pts: int) -> None:
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48)
    made = encoder.encode(picture(0), 0, TICK) + encoder.encode(picture(1), TICK, TICK)

    with pytest.raises(FrameError, match="expected a time stamp that grows, got"):
        encoder.encode(picture(2), pts, TICK)

    assert [packet.pts for packet in made + encoder.flush()] == [0, TICK]


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


@pytest.mark.parametrize(("bound", "held"), [(LARGE_BYTES, True), (64 * 48, False)])
def test_of_huge_pictures_few_are_held_back(monkeypatch: pytest.MonkeyPatch, bound: int, held: bool) -> None:
    """By itself x264 holds some forty, two gigabytes of 8K."""
    monkeypatch.setattr("pipeline.media.encoder.LARGE_BYTES", bound)
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48)

    first = [packet for i in range(3) for packet in encoder.encode(picture(i), i * TICK, TICK, key=i == 0)]

    assert (not first) == held


@pytest.mark.parametrize(
    ("name", "width", "height", "huge"),
    [
        ("yuv420p", 3840, 2160, False),
        ("yuv420p10le", 3840, 2160, False),
        ("yuv420p", 8192, 4320, True),
        ("yuv444p10le", 4096, 2176, True),
    ],
)
def test_what_is_huge(name: str, width: int, height: int, huge: bool) -> None:
    assert (PIXEL_FORMATS[name].frame_bytes(width, height) > LARGE_BYTES) == huge


def test_a_keyframe_that_is_asked_for_needs_nothing_before_it_even_where_gops_are_open() -> None:
    packets = encoded(20, options={"x264-params": "open-gop=1"})

    assert [b"\0\0\1\x65" in p.data for p in packets if p.key] == [True, True]  # a NAL unit of type 5, an IDR


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


def test_a_frame_that_somebody_still_reads_is_not_overwritten() -> None:
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48)
    tick = Fraction(1, 90000)
    reader = av.filter.Graph()  # holds on to frames, as hardware encoders do
    source = reader.add_buffer(width=64, height=48, format=av.VideoFormat("yuv420p"), time_base=tick)
    source.link_to(reader.add("buffersink"))
    reader.configure()
    frame = encoder._filled(picture(0))
    frame.pts, frame.time_base = 0, tick
    reader.push(frame)
    held = reader.pull()

    encoder._filled(picture(9))

    assert isinstance(held, av.VideoFrame)
    assert np.array_equal(samples(held.planes[0], np.uint8), picture(0).planes[0])
    assert not np.array_equal(picture(0).planes[0], picture(9).planes[0])


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


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([], {}),
        (["tune=film"], {"tune": "film"}),
        (["x264-params=keyint=4:scenecut=0", "bf=0"], {"x264-params": "keyint=4:scenecut=0", "bf": "0"}),
        (["tune=film", "tune=grain"], {"tune": "grain"}),
        (["tune="], {"tune": ""}),
    ],
    ids=["none", "one", "a value with marks in it", "the last one counts", "empty"],
)
def test_options_are_read_from_texts(texts: list[str], options: dict[str, str]) -> None:
    assert options_of(texts) == options


@pytest.mark.parametrize("text", ["tune", "=film", ""])
def test_an_option_without_a_name_or_a_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"expected key=value, got '{text}'"):
        options_of([text])


def test_the_head_tells_a_sink_all() -> None:
    encoder = Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48)

    head = masked_head(HEAD, encoder)

    assert (head.codec, head.width, head.height, head.pixel_format) == ("h264", 64, 48, "yuv420p")
    assert head.extradata == Encoder(HEAD, PIXEL_FORMATS["yuv420p"], 64, 48).extradata
    assert (head.shown, head.time_base, head.color) == (HEAD.shown, HEAD.time_base, HEAD.color)
    assert head.audio == HEAD.audio
    assert head.timed


def test_a_head_for_a_sink_takes_nothing_over_that_is_not_true_of_it() -> None:
    source = Head(epoch=7, bits_per_coded_sample=24, reorder_depth=0, clock_may_jump=True, timed=False)
    source.time_base.CopyFrom(HEAD.time_base)
    encoder = Encoder(source, PIXEL_FORMATS["yuv420p"], 64, 48)

    head = masked_head(source, encoder)

    assert (head.epoch, head.bits_per_coded_sample, head.reorder_depth) == (0, 0, encoder.reorder_depth)
    assert (head.timed, head.clock_may_jump) == (True, False)
    assert head.rate == Rational(num=25, den=1)  # where the source does not say
    assert source.epoch == 7


@pytest.mark.parametrize(
    ("name", "color", "encoded_range", "matrix"),
    [
        ("bgra", Color(range=2, matrix=0), 1, 6),
        ("gbrp", Color(range=2, matrix=1), 1, 6),
        ("pal8", Color(range=2, matrix=2), 1, 6),
        ("yuv444p", Color(range=2, matrix=0), 1, 6),
        ("yuvj420p", Color(range=0, matrix=5), 2, 5),
        ("yuv420p10le", Color(range=1, matrix=9), 1, 9),
        ("", Color(range=2, matrix=0), 2, 0),
    ],
    ids=["RGB", "planar RGB", "palette", "RGB in YUV's planes", "JPEG", "HDR", "unknown"],
)
def test_colours_are_the_source_s_but_where_rgb_was_converted(
    name: str, color: Color, encoded_range: int, matrix: int
) -> None:
    source = Head(pixel_format=name, time_base=HEAD.time_base, color=color)
    source.color.primaries, source.color.transfer = 9, 16

    encoded = Encoder(source, PIXEL_FORMATS["yuv420p"], 64, 48).color

    assert (encoded.range, encoded.matrix, encoded.primaries, encoded.transfer) == (encoded_range, matrix, 9, 16)


def test_the_clock_goes_on_over_units() -> None:
    clock, packets = EncoderClock(), []
    for unit in ([0, 30, 10, 20], [40], [70, 50, 60]):
        made = [Packet(pts=pts, duration=10) for pts in unit]
        clock.stamp(made)
        clock = EncoderClock.from_bytes(clock.to_bytes())
        packets += made

    assert [p.dts for p in packets] == [-20, -10, 0, 10, 20, 30, 40, 50]
    assert all(p.dts <= p.pts for p in packets)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [([100], [80]), ([0], [-20]), ([0, 40], [-80, -40]), ([0, 30, 10, 20], [-20, -10, 0, 10])],
    ids=["one picture lasts its duration", "at zero", "two pictures say their distance", "the first two of many"],
)
def test_the_first_unit_begins_two_pictures_early(unit: list[int], expected: list[int]) -> None:
    packets = [Packet(pts=pts, duration=10) for pts in unit]

    EncoderClock().stamp(packets)

    assert [p.dts for p in packets] == expected


@st.composite
def units(draw: st.DrawFn) -> list[list[int]]:
    """Times of showing in decoding order: each P-picture comes before the one or two B-pictures shown before it."""
    time, made = 0, []
    for lengths in draw(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=1, max_size=5)):
        unit = []
        for length in lengths:
            group = []
            for _ in range(length):
                time += draw(st.integers(1, 50))
                group.append(time)
            unit += [group[-1], *group[:-1]]
        made.append(unit)
    return made


@given(units())
def test_decoding_times_grow_and_are_never_after_the_times_of_showing(made: list[list[int]]) -> None:
    clock, packets = EncoderClock(), []
    for unit in made:
        run = [Packet(pts=pts, duration=1) for pts in unit]
        clock.stamp(run)
        clock = EncoderClock.from_bytes(clock.to_bytes())
        packets += run

    times = [packet.dts for packet in packets]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert all(packet.dts <= packet.pts for packet in packets)
    assert times[2:] == sorted(packet.pts for packet in packets)[:-2]


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
