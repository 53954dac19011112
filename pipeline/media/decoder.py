"""From packets to pictures: a decoder in a child process, which writes into memory that both share."""

from __future__ import annotations

import base64
import fcntl
import mmap
import os
import struct
import time
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
from av.video.format import VideoFormat

from engines import FrameError
from operators.frame import PIXEL_FORMATS, Picture, PixelFormat
from operators.shown import AS_IT_LIES, Shown
from pipeline.jail.parent import DEFAULT_LIMITS, Jail, JailLimits
from pipeline.jail.protocol import Received, printable
from pipeline.media import decoder_child
from pipeline.media.formats import VIDEO_CODECS, nearest_format
from pipeline.media.shown import PictureGeometry
from pipeline.wire import Head, Packet

_PAGE = mmap.PAGESIZE
_FEWEST_SLOTS, _MOST_SLOTS = 4, 512
_MOST_MESSAGES = 4 * _MOST_SLOTS
"""That `receive` takes at once: a child that was taken over could go on for ever."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture, in the order of showing.

    Attributes:
        number: of the packet that it was coded in.
        slot: to be given to `Decoder.release`, after which the planes are overwritten.
        picture: writable views into shared memory; valid until the slot is released. What alpha hid is black.
        corrupt: the decoder had to invent parts of it.
        shown: how it is shown.
    """

    number: int
    slot: int
    picture: Picture
    corrupt: bool
    shown: Shown = AS_IT_LIES


@dataclass(frozen=True, slots=True)
class SecondField:
    """A packet that holds the second field of a picture, whose `first` field another packet held just before."""

    number: int
    first: int


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A packet that the decoder refused."""

    number: int
    detail: str


DecoderOutput: TypeAlias = Decoded | SecondField | Undecodable


class _SlotRing:
    """Slots for pictures of one size and format, in anonymous memory: nothing of it has a name or outlives both."""

    def __init__(self, number: int, slots: int, layout: PixelFormat, width: int, height: int) -> None:
        self.number, self.slots = number, slots
        self._layout, self._shapes = layout, layout.plane_shapes(width, height)
        self.slot_bytes = _slot_bytes(layout, width, height)
        self.held: set[int] = set()
        self.descriptor = os.memfd_create("pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, slots * self.slot_bytes)
        # A child that could shrink it would kill its parent by SIGBUS.
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self._memory = mmap.mmap(self.descriptor, slots * self.slot_bytes)

    def picture(self, slot: int, *, full_range: bool, matrix: int) -> Picture:
        offset, planes = slot * self.slot_bytes, []
        for rows, columns in self._shapes:
            plane = np.frombuffer(self._memory, self._layout.dtype, rows * columns, offset).reshape(rows, columns)
            planes.append(plane)
            offset += plane.nbytes
        return Picture((planes[0], planes[1], planes[2]), self._layout, full_range=full_range, matrix=matrix)


def _slot_bytes(layout: PixelFormat, width: int, height: int) -> int:
    return -(-layout.frame_bytes(width, height) // _PAGE) * _PAGE


def slot_count(head: Head, *, memory_bytes: int) -> int:
    """How many pictures of the stream fit: 4 to 512.

    >>> slot_count(Head(width=1920, height=1080), memory_bytes=1), slot_count(Head(), memory_bytes=1 << 30)
    (4, 512)
    """
    return max(_FEWEST_SLOTS, min(_MOST_SLOTS, memory_bytes // _expected_bytes(head)))


def _expected_bytes(head: Head) -> int:
    """Of a slot for pictures as the head announces them."""
    layout = PIXEL_FORMATS["yuv420p"]
    if head.pixel_format:
        source = VideoFormat(head.pixel_format, head.width, head.height)
        layout = PIXEL_FORMATS[nearest_format(source, head.width, head.height)]
    return max(_PAGE, _slot_bytes(layout, head.width, head.height))


class Decoder:
    """Decodes one epoch without a break, in a child process of one thread.

    `send` takes packets in decoding order; `receive` gives pictures in the order of showing, each with the number
    of its packet. A picture occupies one of the slots until it is released; when all are taken, decoding waits.

    Args:
        head: how to decode.
        slots: how many pictures the caller may hold. Where pictures turn out larger than the head said, fewer fit
            into the same memory: `free` is what counts.

    Raises:
        FrameError: from any method: the child died, needs too much memory or hung on a packet (`suspect` says
            on which), or the codec is not on the list. Make a new one and go on from a keyframe.
    """

    def __init__(self, head: Head, *, slots: int, limits: JailLimits = DEFAULT_LIMITS) -> None:
        if head.codec not in VIDEO_CODECS:
            raise FrameError(f"{head.codec} is not decoded; expected one of {', '.join(sorted(VIDEO_CODECS))}")
        self._limits, self._slots = limits, slots
        self._rings: dict[int, _SlotRing] = {}
        self._ring: _SlotRing | None = None
        self._under_way: deque[int] = deque()
        self._moved = time.monotonic()
        self._finishing = self._finished = False
        self._cpu_ns = self._decoded = 0
        self._memory_bytes = slots * _expected_bytes(head)
        self._geometry = PictureGeometry(head)
        self._jail = Jail(
            "pipeline.media.decoder_child",
            {
                "codec": head.codec,
                "extradata": base64.b64encode(head.extradata).decode(),
                "width": head.width,
                "height": head.height,
                "pixel_format": head.pixel_format,
                "bits_per_coded_sample": head.bits_per_coded_sample,
                "reorder_depth": head.reorder_depth,
                "color_range": head.color.range,
                "color_matrix": head.color.matrix,
                "max_pixels": limits.max_pixels,
            },
            limits,
            error=FrameError,
            subject=f"{head.codec} decoder",
            shared_bytes=max(self._memory_bytes, _FEWEST_SLOTS * limits.max_pixels),
        )

    @property
    def done(self) -> bool:
        """All pictures have been received, after `finish`."""
        return self._finished

    @property
    def under_way(self) -> int:
        """How many packets have been sent and not been decoded yet."""
        return len(self._under_way)

    @property
    def decoded(self) -> int:
        """How many packets have been decoded, whether or not a picture came out of them."""
        return self._decoded

    @property
    def free(self) -> int:
        """So many more pictures can come out before one must be released."""
        return self._slots if self._ring is None else self._ring.slots - len(self._ring.held)

    @property
    def suspect(self) -> int | None:
        """The packet being decoded right now, or when the child died; None if it has nothing to do."""
        return self._under_way[0] if self._under_way else None

    @property
    def cpu_ms(self) -> float:
        """What the child has used up, start included, as of the last packet."""
        return self._cpu_ns / 1e6

    @property
    def pid(self) -> int:
        """Of the child process."""
        return self._jail.pid

    def send(self, packet: Packet) -> None:
        if not self._under_way:
            self._moved = time.monotonic()
        self._under_way.append(packet.number)
        fields = decoder_child.PACKET_FIELDS.pack(packet.key, packet.number, len(packet.alpha))
        self._jail.send(decoder_child.PACKET, fields, packet.alpha + packet.data if packet.alpha else packet.data)

    def finish(self) -> None:
        """No more packets: the last pictures come out."""
        self._moved = time.monotonic()
        self._finishing = True
        self._jail.send(decoder_child.FINISH)

    def receive(self, timeout_s: float) -> list[DecoderOutput]:
        """What has been decoded, empty if nothing came in time."""
        items: list[DecoderOutput] = []
        deadline = time.monotonic() + timeout_s
        for _ in range(_MOST_MESSAGES):
            if self._finished:
                break
            message = self._jail.receive(0.0 if items else max(0.0, deadline - time.monotonic()))
            if message is None:
                break
            self._moved = time.monotonic()
            try:
                item = self._take(message)
            except struct.error:
                self._jail.fail("its child process sent something else than it should")
            if item is not None:
                items.append(item)
        if not items:
            self._look_at_the_clock()
        return items

    def release(self, slot: int) -> None:
        """Gives a picture's slot back."""
        number, index = divmod(slot, self._slots)
        ring = self._rings[number]
        if len(ring.held) == ring.slots:
            self._moved = time.monotonic()  # until now the child waited for us
        ring.held.remove(index)
        if ring is self._ring:
            if not self._finished and not self._jail.closed:
                self._jail.send(decoder_child.RELEASE, decoder_child.RELEASE_FIELDS.pack(number, index))
        elif not ring.held:
            del self._rings[number]

    def close(self) -> None:
        """Kills the child; pictures that are held stay readable."""
        self._jail.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, message: Received) -> DecoderOutput | None:
        kind, payload = message
        if kind == decoder_child.PICTURE:
            return self._picture(payload)
        if kind == decoder_child.DONE:
            number, self._cpu_ns = decoder_child.DONE_FIELDS.unpack(payload)
            if self._under_way and self._under_way[0] == number:
                self._under_way.popleft()
                self._decoded += 1
        elif kind == decoder_child.BROKEN:
            (number,) = decoder_child.BROKEN_FIELDS.unpack_from(payload)
            return Undecodable(number, printable(payload[decoder_child.BROKEN_FIELDS.size :]))
        elif kind == decoder_child.SECOND_FIELD:
            return SecondField(*decoder_child.SECOND_FIELD_FIELDS.unpack(payload))
        elif kind == decoder_child.WANT:
            self._make_ring(payload)
        elif kind == decoder_child.FINISHED:
            self._finished = True
        return None

    def _picture(self, payload: bytes) -> Decoded:
        fields = decoder_child.PICTURE_FIELDS.unpack(payload)
        ring_number, slot, number, corrupt, full_range, matrix, across, down, is_turned, *display = fields
        ring = self._ring
        if ring is None or ring.number != ring_number or slot >= ring.slots or slot in ring.held:
            self._jail.fail("its child process gave a picture that it does not own")
        ring.held.add(slot)
        picture = ring.picture(slot, full_range=full_range, matrix=matrix)
        aspect = Fraction(across, down) if down else Fraction(0)
        shown = self._geometry.of_picture(tuple(display) if is_turned else (), aspect)
        return Decoded(number, ring_number * self._slots + slot, picture, corrupt, shown)

    def _make_ring(self, payload: bytes) -> None:
        width, height, name = decoder_child.WANT_FIELDS.unpack(payload)
        layout = PIXEL_FORMATS.get(name.rstrip(b"\0").decode("ascii", "replace"))
        if layout is None or not 0 < width * height <= self._limits.max_pixels:
            self._jail.fail(f"its child process asked for pictures of {width}x{height}")
        number = 0 if self._ring is None else self._ring.number + 1
        if self._ring is not None and not self._ring.held:
            del self._rings[self._ring.number]
        fitting = max(_FEWEST_SLOTS, self._memory_bytes // _slot_bytes(layout, width, height))
        self._ring = self._rings[number] = _SlotRing(number, min(self._slots, fitting), layout, width, height)
        fields = decoder_child.RING_FIELDS.pack(number, self._ring.slots, self._ring.slot_bytes)
        try:
            self._jail.send(decoder_child.RING, fields, descriptor=self._ring.descriptor)
        finally:
            os.close(self._ring.descriptor)

    def _look_at_the_clock(self) -> None:
        """A child that has work and a free slot and says nothing hangs."""
        busy = bool(self._under_way) or (self._finishing and not self._finished)
        if busy and self.free and time.monotonic() - self._moved > self._limits.timeout_s:
            self._jail.fail(f"took longer than {self._limits.timeout_s:g} s for one packet")
