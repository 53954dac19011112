"""The child's side of the decoder, spoken to in its own protocol, without a process."""

from __future__ import annotations

import base64
import mmap
import os
from typing import Any

import av
import numpy as np
import pytest

from operators.frame import PIXEL_FORMATS
from pipeline.jail.protocol import FAILED
from pipeline.media import decoder_child
from pipeline.media.decoder_child import (
    BROKEN,
    DONE,
    DONE_FIELDS,
    FINISH,
    FINISHED,
    PACKET,
    PACKET_FIELDS,
    PICTURE,
    PICTURE_FIELDS,
    RELEASE,
    RELEASE_FIELDS,
    RING,
    RING_FIELDS,
    WANT,
    WANT_FIELDS,
)
from pipeline.wire import Color, Head, Packet
from tests.clips import Clips
from tests.pipeline.media.passing import demux, plain
from tests.pipeline.media.serving import ParentEnd, serving

Said = tuple[Any, ...]


def settings(head: Head, **changes: Any) -> dict[str, Any]:
    names = ("codec", "width", "height", "pixel_format", "bits_per_coded_sample", "reorder_depth")
    given = {name: getattr(head, name) for name in names}
    given |= {"color_range": head.color.range, "color_matrix": head.color.matrix, "max_pixels": 1 << 20}
    return {**given, "extradata": base64.b64encode(head.extradata).decode(), **changes}


class Conversation:
    """Sends packets and answers each wish for memory; what the child says comes as tuples.

    Attributes:
        memory: of the ring that was given last, `(slots, bytes of one)`.
    """

    def __init__(self, channel: ParentEnd, slots: int) -> None:
        self.channel, self._slots, self._rings = channel, slots, 0
        self.memory = np.zeros((0, 0), np.uint8)

    def packet(self, packet: Packet) -> None:
        self.channel.send(PACKET, PACKET_FIELDS.pack(packet.key, packet.number, 0), packet.data)

    def release(self, ring: int, slot: int) -> None:
        self.channel.send(RELEASE, RELEASE_FIELDS.pack(ring, slot))

    def hear(self, count: int) -> list[Said]:
        return [self._next() for _ in range(count)]

    def hear_to_the_end(self) -> list[Said]:
        self.channel.send(FINISH)
        return list(iter(self._next, ("finished",)))

    def _next(self) -> Said:
        kind, payload = self.channel.receive()
        if kind == WANT:
            width, height, name = WANT_FIELDS.unpack(payload)
            self._give(width, height, name.rstrip(b"\0").decode())
            return "want", width, height, name.rstrip(b"\0").decode()
        if kind == PICTURE:
            ring, slot, number, _, full_range, matrix, *_ = PICTURE_FIELDS.unpack(payload)
            return "picture", ring, slot, number, full_range, matrix
        if kind == DONE:
            return "done", DONE_FIELDS.unpack(payload)[0]
        if kind == BROKEN:
            return "broken", int.from_bytes(payload[:8], "little"), payload[8:].decode()
        return ("finished",) if kind == FINISHED else ("failed", payload.decode())

    def _give(self, width: int, height: int, name: str) -> None:
        slot_bytes = -(-PIXEL_FORMATS[name].frame_bytes(width, height) // mmap.PAGESIZE) * mmap.PAGESIZE
        descriptor = os.memfd_create("pictures")
        os.ftruncate(descriptor, self._slots * slot_bytes)
        memory = mmap.mmap(descriptor, self._slots * slot_bytes)
        self.memory = np.frombuffer(memory, np.uint8).reshape(self._slots, slot_bytes)
        self.channel.send_memory(RING, RING_FIELDS.pack(self._rings, self._slots, slot_bytes), descriptor)
        os.close(descriptor)
        self._rings += 1


def kinds(said: list[Said]) -> list[str]:
    return [item[0] for item in said]


def test_memory_is_asked_for_once_and_each_picture_comes_before_its_packet_is_done(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=4)
        for packet in packets[:3]:
            talk.packet(packet)
        said = talk.hear(7)

    assert said[0] == ("want", 192, 144, "yuv420p")
    assert kinds(said[1:]) == ["picture", "done"] * 3
    assert [item[3] for item in said[1::2]] == [item[1] for item in said[2::2]] == [0, 1, 2]


def test_planes_lie_one_after_the_other_and_without_padding(clips: Clips) -> None:
    path = clips("odd_size_444").path  # whose lines FFmpeg pads
    head, packets = demux(path)

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=1)
        talk.packet(packets[0])
        _, (_, _, slot, *_) = talk.hear(2)
        planes = talk.memory[slot, : 3 * 321 * 241].tobytes()

    assert planes == b"".join(plain(path, planes=True)[0].planes)


def test_it_waits_for_memory_and_takes_what_was_given_back_last(clips: Clips) -> None:
    head, packets = demux(clips("h264_plain").path)

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=3)
        for packet in packets[:5]:
            talk.packet(packet)
        taken = [item[2] for item in talk.hear(1 + 3 * 2) if item[0] == "picture"]
        talk.release(7, taken[0])  # of memory that it never had
        assert channel.silent()
        talk.release(0, taken[1])
        talk.release(0, taken[2])
        later = [item[2] for item in talk.hear(4) if item[0] == "picture"]

    assert taken == [0, 1, 2]
    assert sorted(later) == taken[1:]


def test_a_new_size_is_asked_for_anew(clips: Clips) -> None:
    head, packets = demux(clips("size_change_ts").path)

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=100)
        for packet in packets:
            talk.packet(packet)
        said = talk.hear_to_the_end()

    assert [item[1:] for item in said if item[0] == "want"] == [(192, 144, "yuv420p"), (256, 160, "yuv420p")]
    assert [item[1] for item in said if item[0] == "picture"] == [0] * 48 + [1] * 48


def test_reordered_pictures_are_told_apart_by_the_numbers_of_their_packets(clips: Clips) -> None:
    head, packets = demux(clips("h264_open_gop").path)
    in_order_of_showing = [p.number for p in sorted(packets, key=lambda packet: packet.pts)]

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=100)
        for packet in packets:
            talk.packet(packet)
        said = talk.hear_to_the_end()

    assert [item[3] for item in said if item[0] == "picture"] == in_order_of_showing != sorted(in_order_of_showing)
    assert [item[1] for item in said if item[0] == "done"] == [packet.number for packet in packets]


def test_a_broken_packet_is_named_and_done_with(clips: Clips) -> None:
    head, packets = demux(clips("mjpeg_mkv").path)
    packets[1].data = b"no picture at all"

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=4)
        for packet in packets[:3]:
            talk.packet(packet)
        said = talk.hear(7)

    assert kinds(said) == ["want", "picture", "done", "broken", "done", "picture", "done"]
    assert said[3] == ("broken", 1, "invalid data found when processing input")


@pytest.mark.parametrize(
    ("name", "layout", "full_range", "matrix"),
    [
        pytest.param("gif", "yuv420p", False, 6, id="RGB becomes BT.601 in limited range"),
        pytest.param("mjpeg_avi", "yuv420p", True, 5, id="JPEG keeps its full range"),
        pytest.param("hdr_10_bit", "yuv420p10le", False, 9, id="HDR keeps its matrix"),
    ],
)
def test_colours_are_what_the_picture_says(clips: Clips, name: str, layout: str, full_range: bool, matrix: int) -> None:
    head, packets = demux(clips(name).path)

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=30)
        for packet in packets[:20]:
            talk.packet(packet)
        said = talk.hear_to_the_end()

    pictures = [item for item in said if item[0] == "picture"]
    assert [item[3] for item in said if item[0] == "want"] == [layout]
    assert {item[4:] for item in pictures} == {(full_range, matrix)}


def test_what_no_packet_says_is_taken_from_the_head() -> None:
    head = Head(codec="rawvideo", width=8, height=4, pixel_format="yuv420p", color=Color(range=2, matrix=9))
    planes = bytes(range(8 * 4 + 2 * 4 * 2))

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=1)
        talk.packet(Packet(number=5, key=True, data=planes))
        said = talk.hear(2)
        copied = talk.memory[0, : len(planes)].tobytes()

    assert said == [("want", 8, 4, "yuv420p"), ("picture", 0, 0, 5, True, 9)]
    assert copied == planes


def test_rgb_is_converted_to_the_luma_that_bt_601_gives_it(clips: Clips) -> None:
    path = clips("gif").path
    head, packets = demux(path)

    with serving(decoder_child.serve, settings(head)) as channel:
        talk = Conversation(channel, slots=1)
        talk.packet(packets[0])
        talk.hear(2)
        luma = talk.memory[0, : 192 * 144].reshape(144, 192).astype(int)

    with av.open(str(path)) as container:
        red, green, blue = np.moveaxis(next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float), 2, 0)
    by_hand = 16 + (0.299 * red + 0.587 * green + 0.114 * blue) * 219 / 255
    assert np.abs(luma - by_hand).mean() < 1


def test_a_codec_that_cannot_be_opened_is_reported_in_words() -> None:
    head = Head(codec="theora", width=64, height=48, extradata=b"\xff" * 40)

    with serving(decoder_child.serve, settings(head)) as channel:
        kind, words = channel.receive()

    assert kind == FAILED
    assert words.startswith(b"cannot be decoded: ")
