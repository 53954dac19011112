"""Each picture comes out with its packet's number, as a plain decode shows it; and what dies, dies in time."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import av
import numpy as np
import pytest

from engines import FrameError
from operators.frame import PIXEL_FORMATS
from pipeline.jail.parent import JailLimits
from pipeline.jail.protocol import Received
from pipeline.media import Decoded, Decoder, Undecodable, decoder_child, slot_count
from pipeline.media.decoder import DecoderOutput, _SlotRing
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
        held: list[DecoderOutput] = []
        while len(held) < 4:
            held += decoder.receive(5)
        decoder._moved -= 60  # as if a minute had gone by

        assert decoder.receive(0.05) == []


WANT, WANT_DEEP = (
    Received(decoder_child.WANT, decoder_child.WANT_FIELDS.pack(64, 48, name)) for name in (b"yuv420p", b"yuv420p10le")
)


def given_picture(*, ring: int = 0, slot: int = 0, number: int = 0) -> Received:
    fields = decoder_child.PICTURE_FIELDS.pack(ring, slot, number, False, True, 6, 0, 0, False, *(0,) * 9)
    return Received(decoder_child.PICTURE, fields)


def wanted(width: int, height: int, name: bytes) -> Received:
    return Received(decoder_child.WANT, decoder_child.WANT_FIELDS.pack(width, height, name))


@pytest.fixture
def decoder(clips: Clips) -> Iterator[Decoder]:
    """A decoder with four slots, into whose inbox a test puts what a hostile child may say."""
    head, _ = demux(clips("h264_plain").path)
    with Decoder(head, slots=4) as decoder:
        yield decoder


NOT_OWNED = "gave a picture that it does not own"
NONSENSE = "sent something else than it should"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param([given_picture()], NOT_OWNED, id="no memory yet"),
        pytest.param([WANT, given_picture(slot=1), given_picture(slot=1)], NOT_OWNED, id="one slot twice"),
        pytest.param([WANT, given_picture(slot=4)], NOT_OWNED, id="a slot too many"),
        pytest.param([WANT, given_picture(ring=1)], NOT_OWNED, id="memory to come"),
        pytest.param([WANT, WANT_DEEP, given_picture(ring=0)], NOT_OWNED, id="memory given up"),
        pytest.param([wanted(1 << 20, 1 << 20, b"yuv420p")], "asked for pictures of 1048576x1048576", id="too large"),
        pytest.param([wanted(0, 48, b"yuv420p")], "asked for pictures of 0x48", id="no width"),
        pytest.param([wanted(64, 48, b"nv12")], "asked for pictures of 64x48", id="no layout of ours"),
        pytest.param([wanted(64, 48, b"\xff")], "asked for pictures of 64x48", id="no name"),
        *(
            pytest.param([Received(kind, b"short")], NONSENSE, id=f"short message {kind}")
            for kind in (decoder_child.PICTURE, decoder_child.WANT, decoder_child.DONE, decoder_child.BROKEN)
        ),
    ],
)
def test_a_child_that_does_not_keep_to_the_protocol_is_ended(
    decoder: Decoder, said: list[Received], reason: str
) -> None:
    decoder._jail._inbox += said

    with pytest.raises(FrameError, match=f"h264 decoder: its child process {reason}"):
        decoder.receive(1)

    assert decoder._jail.closed


def test_slots_are_numbered_over_all_memory_and_old_memory_goes_with_its_last_picture(decoder: Decoder) -> None:
    decoder._jail._inbox += [WANT, given_picture(slot=2), WANT_DEEP, given_picture(ring=1, slot=3, number=7)]

    old, new = decoder.receive(1)

    assert isinstance(old, Decoded) and isinstance(new, Decoded)
    assert (old.slot, new.slot, new.number) == (2, 4 + 3, 7)
    assert (old.picture.format.name, new.picture.format.name) == ("yuv420p", "yuv420p10le")
    assert (new.picture.full_range, new.picture.matrix) == (True, 6)
    assert decoder.free == 3
    decoder.release(old.slot)
    assert list(decoder._rings) == [1]
    decoder.release(new.slot)
    assert (list(decoder._rings), decoder.free) == ([1], 4)


def test_memory_that_holds_no_picture_goes_at_once(decoder: Decoder) -> None:
    decoder._jail._inbox += [WANT, WANT_DEEP]

    assert decoder.receive(1) == []
    assert list(decoder._rings) == [1]


def test_a_child_can_change_neither_the_size_of_the_memory_nor_its_seals() -> None:
    ring = _SlotRing(0, 4, PIXEL_FORMATS["yuv420p"], 64, 48)

    for size in (0, 1 << 20):
        with pytest.raises(PermissionError):  # to shrink it would kill the parent by SIGBUS
            os.ftruncate(ring.descriptor, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(ring.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    os.close(ring.descriptor)


def test_only_the_packet_whose_turn_it_is_counts_as_decoded(decoder: Decoder) -> None:
    os.kill(decoder.pid, signal.SIGSTOP)
    for number in (5, 6):
        decoder.send(Packet(number=number))
    done = [Received(decoder_child.DONE, decoder_child.DONE_FIELDS.pack(number, 3_000_000)) for number in (6, 9, 5)]

    decoder._jail._inbox += done[:2]
    decoder.receive(0)
    assert (decoder.under_way, decoder.decoded, decoder.suspect) == (2, 0, 5)

    decoder._jail._inbox += done[2:]
    decoder.receive(0)
    assert (decoder.under_way, decoder.decoded, decoder.suspect) == (1, 1, 6)
    assert decoder.cpu_ms == 3


def test_a_child_that_talks_without_end_does_not_hold_its_parent(decoder: Decoder) -> None:
    decoder._jail._inbox += [Received(decoder_child.DONE, decoder_child.DONE_FIELDS.pack(0, 0))] * 3000

    assert decoder.receive(0) == []
    assert len(decoder._jail._inbox) == 3000 - 4 * 512


def test_a_complaint_of_the_child_is_fit_for_a_log(decoder: Decoder) -> None:
    decoder._jail._inbox.append(
        Received(decoder_child.BROKEN, decoder_child.BROKEN_FIELDS.pack(3) + b"no \x1b[31mred\n")
    )

    assert decoder.receive(1) == [Undecodable(3, "no  [31mred ")]


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


def test_cpu_time_is_told(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)

    with Decoder(head, slots=4) as decoder:
        decoder.send(Packet(data=packets[0].data, key=True))
        while decoder.suspect is not None:
            decoder.receive(1)

        assert decoder.cpu_ms > 0
