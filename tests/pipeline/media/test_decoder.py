"""Each picture comes out with its packet's number, as a plain decode shows it; and what dies, dies in time."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import av
import numpy as np
import pytest

from engines import FrameError
from operators.frame import PIXEL_FORMATS
from pipeline.jail.parent import JailLimits
from pipeline.jail.protocol import Received
from pipeline.media import Decoded, Decoder, Undecodable, decoder_child, slot_count
from pipeline.media.buffers import packet_of
from pipeline.media.formats import nearest_format
from pipeline.wire import Head, Packet
from tests.clips import Clips
from tests.hostile import HostileFiles
from tests.pipeline.media.passing import decode, demux, frames, plain

NATIVE = [
    "h264_plain",
    "h264_open_gop",
    "hevc_open_gop",
    "mpeg2_open_gop",
    "h264_intra_refresh",
    "no_keyframe_start",
    "edit_list",
    "late_start",
    "vp8",
    "vp9_hidden_frames",
    "av1",
    "mjpeg_avi",
    "mjpeg_mkv",
    "mpeg1",
    "odd_size_444",
    "h264_444",
    "hdr_10_bit",
    "size_change_ts",
]


def test_pictures_and_numbers_are_those_of_a_plain_decode(clips: Clips, subtests: pytest.Subtests) -> None:
    for name in NATIVE:
        with subtests.test(name):
            path = clips(name).path
            head, packets = demux(path)

            ours = [(p.pts, tuple(plane.tobytes() for plane in picture.planes)) for p, picture in frames(head, packets)]

            with av.open(str(path)) as container:
                base = container.streams.video[0].time_base or 0
            assert [(pts * base, planes) for pts, planes in ours] == [
                (frame.time_s, frame.planes) for frame in plain(path, planes=True)
            ]


def test_a_new_size_comes_out_as_it_is(clips: Clips) -> None:
    head, packets = demux(clips("size_change_ts").path)

    sizes = [(picture.width, picture.height) for _, picture in frames(head, packets)]

    assert sizes == [frame.size for frame in plain(clips("size_change_ts").path)]
    assert len(set(sizes)) == 2


def test_memory_that_is_given_back_is_used_first(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)
    used = set()

    with Decoder(head, slots=64) as decoder:
        for packet in packets[:40]:
            decoder.send(packet)
            while decoder.under_way:
                for item in decoder.receive(0.5):
                    assert isinstance(item, Decoded)
                    used.add(item.slot)
                    decoder.release(item.slot)

    assert len(used) < 8


@pytest.mark.parametrize(("name", "format"), [("gif", "yuv420p"), ("odd_size", "yuv444p"), ("mjpeg_avi", "yuv420p")])
def test_other_layouts_are_converted_to_the_nearest(clips: Clips, name: str, format: str) -> None:  # noqa: A002
    head, packets = demux(clips(name).path)

    _, picture = next(frames(head, packets))

    assert picture.format is PIXEL_FORMATS[format]
    assert tuple(plane.shape for plane in picture.planes) == picture.format.plane_shapes(head.width, head.height)


def test_full_range_is_told_and_not_squeezed(clips: Clips) -> None:
    head, packets = demux(clips("mjpeg_avi").path)

    _, picture = next(frames(head, packets))

    assert picture.full_range


@pytest.mark.parametrize(
    ("name", "size", "nearest"),
    [
        ("yuvj420p", (64, 48), "yuv420p"),
        ("yuv420p", (63, 48), "yuv444p"),
        ("yuv420p", (64, 47), "yuv444p"),
        ("yuv422p", (64, 47), "yuv422p"),
        ("yuv440p", (64, 48), "yuv444p"),
        ("yuv411p", (64, 48), "yuv422p"),
        ("yuv410p", (64, 48), "yuv420p"),
        ("nv12", (64, 48), "yuv420p"),
        ("p010le", (64, 48), "yuv420p10le"),
        ("yuv422p12le", (64, 48), "yuv422p10le"),
        ("yuva444p12le", (64, 48), "yuv444p10le"),
        ("gray", (64, 48), "yuv420p"),
        ("gray10le", (64, 48), "yuv420p10le"),
        ("pal8", (64, 48), "yuv420p"),
        ("bgra", (64, 48), "yuv420p"),
        ("gbrp10le", (64, 48), "yuv420p10le"),
    ],
)
def test_the_nearest_format(name: str, size: tuple[int, int], nearest: str) -> None:
    assert nearest_format(av.VideoFormat(name, *size), *size) == nearest


def test_pictures_belong_to_their_holder_until_they_are_released(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)

    with Decoder(head, slots=4) as decoder:
        for packet in packets:
            decoder.send(packet)
        decoder.finish()
        held: list[Decoded] = []
        while len(held) < 4:
            held += [item for item in decoder.receive(1) if isinstance(item, Decoded)]
        before = [item.picture.planes[0].copy() for item in held]
        assert decoder.receive(0.1) == []
        assert not decoder.done

        held[0].picture.planes[0][:] = 0  # painting does not reach the decoder's reference pictures
        decoder.release(held.pop(0).slot)
        held += [item for item in decoder.receive(1) if isinstance(item, Decoded)]

    assert [item.number for item in held] == [1, 2, 3, 4]
    assert all(np.array_equal(item.picture.planes[0], kept) for item, kept in zip(held, before[1:], strict=False))
    assert held[-1].picture.planes[0].any()


def test_what_cannot_be_decoded_is_named_and_the_rest_goes_on(clips: Clips) -> None:
    head, packets = demux(clips("mjpeg_mkv").path)
    packets[3].data = b"no picture at all"

    items = list(decode(head, packets))

    assert [item.number for item in items if isinstance(item, Undecodable)] == [3]
    assert [item.number for item in items if isinstance(item, Decoded)] == [n for n in range(len(packets)) if n != 3]


def test_damage_is_reported(hostile: HostileFiles) -> None:
    head, packets = demux(hostile("corrupt_ts"))

    items = list(decode(head, packets))

    assert 0 < len(items) <= len(packets)


def test_one_pixel_and_eight_k_pass(hostile: HostileFiles) -> None:
    for name in ("one_pixel", "one_pixel_mjpeg", "eight_k"):
        head, packets = demux(hostile(name))

        sizes = {(p.width, p.height) for _, p in frames(head, packets)}

        assert sizes == {(head.width, head.height)}


def test_pictures_larger_than_allowed_are_not_decoded(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)
    head.width = head.height = 16  # what the container says, and what is in the packets, may differ

    with Decoder(head, slots=4, limits=JailLimits(max_pixels=20_000)) as decoder:
        decoder.send(packets[0])
        (item,) = decoder.receive(10)

    assert isinstance(item, Undecodable)


def test_a_codec_that_is_not_listed_is_refused() -> None:
    with pytest.raises(FrameError, match="ffv1 is not decoded; expected one of av1, gif"):
        Decoder(Head(codec="ffv1", width=64, height=48), slots=4)


def test_a_killed_child_is_an_error_and_pictures_stay_readable(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)

    with Decoder(head, slots=4) as decoder:
        for packet in packets[:4]:
            decoder.send(packet)
        item = next(iter(decoder.receive(10)))
        os.kill(decoder.pid, signal.SIGKILL)
        with pytest.raises(FrameError, match="h264 decoder: its child process was killed by SIGKILL"):
            while True:
                decoder.receive(5)
        with pytest.raises(FrameError):
            decoder.send(packets[4])

        assert isinstance(item, Decoded)
        assert item.picture.planes[0].any()
        decoder.release(item.slot)


def test_a_child_that_hangs_is_ended_and_the_packet_is_known(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)
    limits = replace(JailLimits(), timeout_s=0.5)

    with Decoder(head, slots=4, limits=limits) as decoder:
        decoder.send(packets[0])
        first = decoder.receive(10)
        os.kill(decoder.pid, signal.SIGSTOP)
        decoder.send(packets[1])
        began = time.monotonic()
        with pytest.raises(FrameError, match=r"longer than 0\.5 s for one packet"):
            while True:
                decoder.receive(0.1)

        assert len(first) == 1
        assert decoder.suspect == 1
        assert time.monotonic() - began < 3


def test_a_caller_that_holds_all_pictures_is_waited_for(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)

    with Decoder(head, slots=4, limits=replace(JailLimits(), timeout_s=5.0)) as decoder:
        for packet in packets[:12]:
            decoder.send(packet)
        held: list[Decoded | Undecodable] = []
        while len(held) < 4:
            held += decoder.receive(5)
        decoder._moved -= 60  # as if a minute had gone by

        assert decoder.receive(0.05) == []


def test_nonsense_from_the_child_is_an_error_too(clips: Clips) -> None:
    head, _ = demux(clips("h264_plain").path)

    for kind, payload in [
        (decoder_child.PICTURE, b"short"),
        (decoder_child.PICTURE, decoder_child.PICTURE_FIELDS.pack(0, 99, 0, False, False, 1)),
        (decoder_child.WANT, decoder_child.WANT_FIELDS.pack(1 << 20, 1 << 20, b"yuv420p")),
        (decoder_child.WANT, decoder_child.WANT_FIELDS.pack(64, 48, b"\xff")),
    ]:
        with Decoder(head, slots=4) as decoder:
            decoder._jail._inbox.append(Received(kind, payload))
            with pytest.raises(FrameError, match="h264 decoder: its child process"):
                decoder.receive(1)


def test_nothing_is_left_in_shared_memory(clips: Clips) -> None:
    before = set(os.listdir("/dev/shm"))  # noqa: PTH208
    head, packets = demux(clips("h264_plain").path)

    with Decoder(head, slots=4) as decoder:
        decoder.send(packets[0])
        decoder.receive(5)
        assert set(os.listdir("/dev/shm")) <= before  # noqa: PTH208


def test_larger_pictures_get_fewer_slots(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)
    head.width, head.height = 96, 72  # a quarter of the truth

    with Decoder(head, slots=24) as decoder:
        assert decoder.free == 24
        decoder.send(packets[0])
        items = decoder.receive(10)

        assert len(items) == 1
        assert decoder.free == 24 // 4 - 1


def test_slots_follow_memory() -> None:
    full_hd = Head(width=1920, height=1080, pixel_format="yuv420p")
    deep = Head(width=1920, height=1080, pixel_format="yuv420p10le")

    assert slot_count(full_hd, memory_bytes=128 << 20) == 43  # of 3.1 MB
    assert slot_count(deep, memory_bytes=128 << 20) == 21
    assert slot_count(Head(width=4, height=4, pixel_format="bgra"), memory_bytes=1 << 30) == 512
    assert slot_count(full_hd, memory_bytes=0) == 4


def test_bytes_behind_a_packet_are_zero() -> None:
    packet = packet_of(b"abc")

    assert bytes(packet) == b"abc"
    assert packet.size == 3
    assert packet_of(b"").size == 0


def test_cpu_time_is_told(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)

    with Decoder(head, slots=4) as decoder:
        decoder.send(Packet(data=packets[0].data, key=True))
        while decoder.suspect is not None:
            decoder.receive(1)

        assert decoder.cpu_ms > 0
