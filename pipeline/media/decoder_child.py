"""The jailed side of `Decoder`: packets in, pictures out into shared memory.

A packet is decoded under its number instead of its time stamps, so a picture's time stamp says which packet it
came from, whatever the codec reorders or hides.

    parent to child   PACKET   flags, number, bytes of alpha, then those and the packet's
                      FINISH   no more packets
                      RELEASE  ring, slot: its picture is no longer needed
                      RING     slots, bytes of one; the memory's descriptor comes along
    child to parent   WANT     width, height, pixel format: a ring for pictures like this is needed
                      PICTURE  slot, number, corrupt, full range, matrix, aspect of a sample, display matrix or none
                      SECOND_FIELD  number of the packet, and of the one before whose picture it completes
                      BROKEN   number, then why it cannot be decoded
                      DONE     number, CPU time so far in ns: this packet is done
                      FINISHED after the last picture
"""

from __future__ import annotations

import base64
import mmap
import os
import struct
import time
from collections import deque
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NoReturn

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pipeline.jail.protocol import FAILED, Channel, pack
from pipeline.media.alpha import AlphaStream, has_alpha, lay_over_black, plane_of
from pipeline.media.buffers import matrix_of, packet_of, samples, words
from pipeline.media.fields import FieldPairs
from pipeline.media.formats import DECODERS, nearest_format

PACKET, FINISH, RELEASE, RING = 1, 2, 3, 4
WANT, PICTURE, BROKEN, DONE, FINISHED, SECOND_FIELD = 1, 2, 3, 4, 5, 6
PACKET_FIELDS = struct.Struct("<?qI")
RELEASE_FIELDS = struct.Struct("<II")
RING_FIELDS = struct.Struct("<IIQ")
WANT_FIELDS = struct.Struct("<II16s")
PICTURE_FIELDS = struct.Struct("<IIq??BII?9i")
BROKEN_FIELDS = struct.Struct("<q")
DONE_FIELDS = struct.Struct("<qQ")
SECOND_FIELD_FIELDS = struct.Struct("<qq")

_FULL_RANGE = 2
_MATRIX_RGB, _MATRIX_BT601 = 0, 6
_SWS_BT601 = 5
_LATEST = 64
"""So many changes are remembered: no codec holds more pictures back."""


class _SharedSlots:
    """Slots of equal size in memory that the parent made, for pictures of one size and format."""

    def __init__(self, number: int, descriptor: int, slots: int, slot_bytes: int) -> None:
        self.number = number
        # Last given back, first used: it is in the processor's cache still, and what is not needed stays untouched.
        self.free = list(range(slots))[::-1]
        self._slot_bytes = slot_bytes
        self._memory = mmap.mmap(descriptor, slots * slot_bytes)
        os.close(descriptor)

    def put(self, slot: int, frame: VideoFrame) -> list[NDArray[Any]]:
        """Copies the planes, one after the other and without padding; gives them back as they lie there."""
        offset, planes = slot * self._slot_bytes, []
        for plane in frame.planes:
            dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
            source = samples(plane, dtype)
            target = np.frombuffer(self._memory, dtype, source.size, offset).reshape(source.shape)
            np.copyto(target, source)
            planes.append(target)
            offset += source.nbytes
        return planes


class AspectChanges:
    """Which aspect of a sample held when a packet was decoded: pictures come out later, when another may hold already,
    and they do not say it themselves.

    >>> changes = AspectChanges()
    >>> changes.note(0, Fraction(1)); changes.note(20, Fraction(2))
    >>> changes.of(19), changes.of(20), changes.of(21)
    (Fraction(1, 1), Fraction(2, 1), Fraction(2, 1))
    """

    def __init__(self) -> None:
        self._changes = deque([(-1, Fraction(0))], maxlen=_LATEST)

    def note(self, number: int, aspect: Fraction) -> None:
        """Packets come in the order of their numbers; 0 is for an aspect that is not said."""
        if self._changes[-1][1] != aspect:
            self._changes.append((number, aspect))

    def of(self, number: int) -> Fraction:
        """That of the packet, or the oldest that is remembered."""
        return next((aspect for since, aspect in reversed(self._changes) if since <= number), self._changes[0][1])


class _Server:
    def __init__(self, channel: Channel, settings: Mapping[str, Any]) -> None:
        self._channel = channel
        self._codec = _open(settings)
        self._pairs = FieldPairs(settings["codec"], base64.b64decode(settings["extradata"]))
        self._alpha = AlphaStream(*(settings[name] for name in ("codec", "width", "height", "max_pixels")))
        self._before = -1
        self._rotation, self._matrix = 0, tuple[int, ...]()
        self._aspects = AspectChanges()
        self._packets: deque[bytes] = deque()
        self._unsent = bytearray()
        self._finished = False
        self._ring: _SharedSlots | None = None
        self._shape: tuple[int, int, str] | None = None

    def run(self) -> NoReturn:
        while (data := self._next_packet()) is not None:
            number = self._decode(data)
            self._say(DONE, DONE_FIELDS.pack(number, time.process_time_ns()))
            self._speak()
        for frame in self._flushed():
            self._put(frame)
        self._say(FINISHED)
        while True:  # the parent still gives pictures back; it ends this by closing the channel
            self._read()

    def _say(self, kind: int, *parts: bytes) -> None:
        """Notes a message; what belongs to one packet goes out together: each send wakes the parent."""
        self._unsent += pack(kind, *parts)

    def _speak(self) -> None:
        if self._unsent:
            self._channel.send_packed(self._unsent)
            self._unsent.clear()

    def _next_packet(self) -> bytes | None:
        while not self._packets and not self._finished:
            self._read()
        return self._packets.popleft() if self._packets else None

    def _read(self) -> None:
        """Takes one message; packets queue up, so that the parent is read from even while a slot is waited for."""
        self._speak()
        kind, payload = self._channel.receive()
        if kind == PACKET:
            self._packets.append(payload)
        elif kind == FINISH:
            self._finished = True
        elif kind == RELEASE:
            ring, slot = RELEASE_FIELDS.unpack(payload)
            if self._ring is not None and ring == self._ring.number:
                self._ring.free.append(slot)
        else:
            number, slots, slot_bytes = RING_FIELDS.unpack(payload)
            self._ring = _SharedSlots(number, self._channel.descriptor(), slots, slot_bytes)

    def _decode(self, data: bytes) -> int:
        key: bool
        number: int
        key, number, alpha_bytes = PACKET_FIELDS.unpack_from(data)
        begins = PACKET_FIELDS.size + alpha_bytes
        packet = packet_of(data[begins:])
        packet.pts = packet.dts = number
        packet.is_keyframe = key
        before, self._before = self._before, number
        if self._pairs.completes(data[begins:]):
            self._say(SECOND_FIELD, SECOND_FIELD_FIELDS.pack(number, before))
        try:
            self._alpha.send(data[PACKET_FIELDS.size : begins], number)
            pictures = self._codec.decode(packet)
            self._aspects.note(number, self._codec.sample_aspect_ratio or Fraction(0))
            for frame in pictures:
                self._put(frame)
        except av.FFmpegError as error:
            self._say(BROKEN, BROKEN_FIELDS.pack(number), words(error).encode())
        return number

    def _flushed(self) -> list[VideoFrame]:
        try:
            return self._codec.decode(None)
        except av.FFmpegError:
            return []  # what should have come and did not is missed by its number

    def _put(self, frame: VideoFrame) -> None:
        if frame.pts is None:
            return
        full_range, matrix, corrupt = frame.color_range == _FULL_RANGE, frame.colorspace, frame.is_corrupt
        number, turned = frame.pts, self._turned(frame)
        try:
            opacity = plane_of(frame) if has_alpha(frame.format) else self._alpha.take(frame)
        except ValueError as error:
            self._say(BROKEN, BROKEN_FIELDS.pack(number), words(error).encode())
            return
        wanted = nearest_format(frame.format, frame.width, frame.height)
        if frame.format.name.startswith("yuvj"):
            full_range = True
        elif frame.format.name != wanted:
            if frame.format.is_rgb or matrix == _MATRIX_RGB:
                full_range, matrix = False, _MATRIX_BT601
                frame = frame.reformat(format=wanted, dst_colorspace=_SWS_BT601, dst_color_range=1, threads=1)
            else:
                frame = frame.reformat(format=wanted, threads=1)
        slot = self._slot(frame.width, frame.height, wanted)
        assert self._ring is not None  # noqa: S101 - the slot is in it
        planes = self._ring.put(slot, frame)
        if opacity is not None:
            lay_over_black(planes, opacity, bits=frame.format.components[0].bits, full_range=full_range)
        aspect = self._aspects.of(number)
        fields = PICTURE_FIELDS.pack(
            *(self._ring.number, slot, number, corrupt, full_range, matrix),
            *(aspect.numerator, aspect.denominator if aspect > 0 else 0),
            *(bool(turned), *(turned or (0,) * 9)),
        )
        self._say(PICTURE, fields)

    def _turned(self, frame: VideoFrame) -> tuple[int, ...]:
        """Its display matrix, looked for where it can have changed: that takes longer than to ask for its turn."""
        if frame.key_frame or frame.rotation != self._rotation:
            self._rotation, self._matrix = frame.rotation, matrix_of(frame)
        return self._matrix

    def _slot(self, width: int, height: int, name: str) -> int:
        """A free slot, in a new ring when pictures changed; waits for the parent where there is none."""
        if (width, height, name) != self._shape:
            self._shape, self._ring = (width, height, name), None
            self._say(WANT, WANT_FIELDS.pack(width, height, name.encode()))
        while self._ring is None or not self._ring.free:
            self._read()
        return self._ring.free.pop()


def _open(settings: Mapping[str, Any]) -> VideoCodecContext:
    codec = av.CodecContext.create(DECODERS[settings["codec"]], "r")
    assert isinstance(codec, VideoCodecContext)  # noqa: S101 - all of the list are
    codec.extradata = base64.b64decode(settings["extradata"]) or None
    codec.width, codec.height = settings["width"], settings["height"]
    if settings["pixel_format"]:
        codec.pix_fmt = settings["pixel_format"]
    codec.bits_per_coded_sample = settings["bits_per_coded_sample"]
    codec.reorder_depth = settings["reorder_depth"]
    codec.color_range, codec.colorspace = settings["color_range"], settings["color_matrix"]
    codec.thread_count = 1
    codec.options = {"max_pixels": str(settings["max_pixels"])}
    codec.open()
    return codec


def serve(channel: Channel, settings: Mapping[str, Any]) -> None:
    """Decodes until FINISH comes; `FAILED` where it cannot go on at all."""
    try:
        _Server(channel, settings).run()
    except (av.FFmpegError, ValueError) as error:
        channel.send(FAILED, f"cannot be decoded: {words(error)}".encode())
