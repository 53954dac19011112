"""Packets into a decoder, and what became of each: a picture, nothing that is ever shown, or a loss with its reason.

Serves both those that mask a stream and those that only look at a file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from pipeline.jail.parent import DEFAULT_LIMITS, JailLimits
from pipeline.media.decoder import Decoded, Decoder, DecoderOutput, SecondField, Undecodable
from pipeline.wire import Head, Packet

REORDER = 32
"""No codec shows a picture after more than 16 pictures that were coded later."""
UNDER_WAY = 8
"""Packets that a decoder is given ahead of what it has done: it decodes them all, into memory that stays taken."""
HIDES_PACKETS = frozenset({"vp8", "vp9", "av1", "mpeg4"})
"""Codecs with packets that are never shown, which nothing in the container says."""
NO_PACKET, FAILURES = -1, -2
"""In the counts of deaths: decoders that died with nothing to do, as on broken extradata; and whatever else failed."""
MAX_OPENED, MAX_FAILURES, MAX_DEATHS = 3, 5, 2
"""So many deaths with nothing to do, other failures, and deaths on one packet, are enough."""
CORRUPT = "the decoder marked the picture as corrupt"


@dataclass(frozen=True, slots=True)
class PictureCame:
    """A picture that is to be shown, in a slot of the decoder, and its packet without the data."""

    packet: Packet
    decoded: Decoded


@dataclass(frozen=True, slots=True)
class NeverShown:
    """The container or the codec never shows this packet."""

    number: int


@dataclass(frozen=True, slots=True)
class PacketLost:
    """No picture came of this packet, for a `reason` in a word and its `detail` in a sentence."""

    number: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class AlreadySettled:
    """A picture of a packet that nobody waits for: it was accounted for earlier, and only others needed it."""

    number: int


PacketOutcome: TypeAlias = PictureCame | NeverShown | PacketLost | AlreadySettled


@dataclass(frozen=True, slots=True)
class _Expected:
    """A packet without its data, whose picture has not come; and the how-manieth it is."""

    packet: Packet
    ordinal: int


class Intake:
    """One decoder from the head of an epoch on.

    Args:
        head: how the stream is coded.
        slots: how many pictures may be out at a time.
        limits: of the decoder's process.
        deaths: how often decoders of this stream died on the packet of that number. Once may be anybody's fault; what
            two decoders died of is not given to a third.

    Attributes:
        decodes: a picture has come out.
    """

    def __init__(
        self,
        head: Head,
        *,
        slots: int,
        limits: JailLimits = DEFAULT_LIMITS,
        deaths: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self.decodes = False
        self._hides_packets = head.codec in HIDES_PACKETS
        self._deaths = deaths
        self._expected: dict[int, _Expected] = {}
        self._count = 0
        self._received: deque[DecoderOutput] = deque()
        opens = deaths.get(NO_PACKET, 0) < MAX_OPENED and deaths.get(FAILURES, 0) < MAX_FAILURES
        self._decoder = Decoder(head, slots=slots, limits=limits) if opens else None
        self._counted_ms = 0.0

    # -- in ----------------------------------------------------------------------------------------

    def send(self, packet: Packet, *, settled: bool = False) -> PacketLost | None:
        """Decodes a video packet; a loss if no decoder is to have it.

        Args:
            settled: it was accounted for earlier, and is decoded only because others refer to it.

        Raises:
            FrameError: the decoder died.
        """
        ordinal, self._count = self._count, self._count + 1
        if not settled:
            self._expected[packet.number] = _Expected(without_data(packet), ordinal)
        if self._decoder is None:
            return self._lose(packet.number, "undecodable", "this stream has made every decoder fail")
        if self._deaths.get(packet.number, 0) >= MAX_DEATHS:
            return self._lose(packet.number, "decoder_died", "two decoders died on this packet")
        self._decoder.send(packet)
        return None

    def finish(self) -> None:
        """No packet comes any more."""
        if self._decoder is not None:
            self._decoder.finish()

    # -- out ---------------------------------------------------------------------------------------

    def outcomes(self, timeout_s: float, *, max_pictures: int | None = None) -> Iterator[PacketOutcome]:
        """What has become of packets by now; waits no longer than that for the first.

        Raises:
            FrameError: the decoder died.
        """
        if self._decoder is None:
            return
        self._received.extend(self._decoder.receive(0 if self._received else timeout_s))
        count = len(self._received)
        for _ in range(count if max_pictures is None else min(max_pictures, count)):
            yield from self._outcome(self._received.popleft())
        for number in self._overdue():
            yield self._silent(number)

    def silent(self) -> Iterator[PacketOutcome]:
        """What has become of the packets that are left when the decoder is done."""
        for number in sorted(self._expected):
            yield self._silent(number)

    def release(self, slot: int) -> None:
        """A picture's slot may be used again."""
        if self._decoder is not None:
            self._decoder.release(slot)

    # -- how far it is -----------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """No further packet should be sent before a picture has been taken out."""
        return self._decoder is not None and self._decoder.under_way + len(self._received) >= UNDER_WAY

    @property
    def free(self) -> int:
        """How many slots for pictures are left."""
        return self._decoder.free if self._decoder is not None else 0

    @property
    def busy(self) -> bool:
        """A decoder is at work, or a picture that came out of it waits."""
        return self.suspect is not None or bool(self._received)

    @property
    def suspect(self) -> int | None:
        """Number of the packet on which the decoder died, or is at work; None if it has nothing to do."""
        return self._decoder.suspect if self._decoder is not None else None

    @property
    def done(self) -> bool:
        """All that was sent came out, after `finish`."""
        return not self._received and (self._decoder is None or self._decoder.done)

    def take_cpu_ms(self) -> float:
        """CPU time of the decoder's process since the last call."""
        if self._decoder is None:
            return 0.0
        before, self._counted_ms = self._counted_ms, self._decoder.cpu_ms
        return self._counted_ms - before

    def close(self) -> None:
        """Ends the decoder's process; may be called again."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    # -- one packet --------------------------------------------------------------------------------

    def _outcome(self, item: DecoderOutput) -> Iterator[PacketOutcome]:
        if isinstance(item, SecondField):
            yield self._join(item)
            return
        if isinstance(item, Undecodable):
            yield self._lose(item.number, "undecodable", item.detail) or AlreadySettled(item.number)
            return
        self.decodes = True
        expected = self._expected.pop(item.number, None)
        if expected is not None and not item.corrupt and not expected.packet.discard:
            yield PictureCame(expected.packet, item)
            return
        self.release(item.slot)
        if expected is None:
            yield AlreadySettled(item.number)
        elif item.corrupt:
            yield PacketLost(item.number, "undecodable", CORRUPT)
        else:
            yield NeverShown(item.number)

    def _join(self, field: SecondField) -> PacketOutcome:
        """Half of a picture, which the first half's packet stands for: that one is shown for both."""
        second, first = self._expected.pop(field.number, None), self._expected.get(field.first)
        if second is None:
            return AlreadySettled(field.number)
        if first is not None:
            first.packet.duration = _of_both(first.packet, second.packet)
        return NeverShown(field.number)

    def _lose(self, number: int, reason: str, detail: str) -> PacketLost | None:
        """None if the packet was accounted for earlier."""
        return PacketLost(number, reason, detail) if self._expected.pop(number, None) is not None else None

    def _silent(self, number: int) -> PacketOutcome:
        """A packet that gave neither a picture nor an error."""
        if self._expected.pop(number).packet.discard or self._hides_packets:
            return NeverShown(number)
        return PacketLost(number, "undecodable", "no picture came out of it")

    def _overdue(self) -> list[int]:
        """Packets whose picture can no longer come, since much later packets have been decoded."""
        newest = self._decoder.decoded - 1 if self._decoder is not None else -1
        overdue = []
        for number, expected in self._expected.items():
            if expected.ordinal >= newest - REORDER:
                break
            overdue.append(number)
        return overdue


def _of_both(first: Packet, second: Packet) -> int:
    """How long a frame of two fields is shown: containers give each the duration of a field, or that of the frame."""
    apart = second.pts - first.pts if first.HasField("pts") and second.HasField("pts") else 0
    return 2 * apart if apart > 0 else first.duration + second.duration


def without_data(packet: Packet) -> Packet:
    """What is needed of a packet once it was sent to the decoder.

    >>> slim = without_data(Packet(number=3, pts=90, data=b"slices"))
    >>> slim.pts, slim.data
    (90, b'')
    """
    slim = Packet(number=packet.number, duration=packet.duration, key=packet.key, discard=packet.discard)
    slim.received_us = packet.received_us
    if packet.HasField("pts"):
        slim.pts = packet.pts
    return slim
