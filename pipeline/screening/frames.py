"""The frames of an uploaded file, for whoever looks at them and gives nothing out: decoded in a jail, once, in order.

Not for hiding faces: what cannot be decoded is counted here and passed over, and there is no way back into the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from engines import FacewardenError, FrameError, StreamError
from operators.frame import Frame
from pipeline.jail.parent import JailLimits
from pipeline.live.ledger import PacketLedger
from pipeline.live.stream import CLOCK_JUMP_S, HIDES_PACKETS, UNDER_WAY
from pipeline.media import Decoded, Decoder, Demuxer, Undecodable
from pipeline.wire import Head, Packet, StreamState, fraction

SLOTS = 4
PATIENCE_S = 0.05
USUAL_RATE = 25


class VideoFrames:
    """Iterates over the frames of a file, once. A frame's picture is gone as soon as the next one is asked for.

    Times are in seconds from the first frame on; a clock that jumps goes on a frame later.

    Args:
        path: a video file.
        stream: what frames say they belong to.
        limits: of the two child processes.

    Attributes:
        head: of the file; without a codec until its beginning was read.
        shown: how many frames came out.
        lost: how many did not, by why.
        reason: why the file could not be read to its end; empty if it was.
    """

    def __init__(self, path: Path, stream: str, limits: JailLimits) -> None:
        self._path, self._stream, self._limits = path, stream, limits
        self._accounts = PacketLedger(StreamState())
        self.head, self.shown, self.reason = Head(), 0, ""
        self.lost: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Frame]:
        try:
            with Demuxer(str(self._path), audio=False, limits=self._limits) as demuxer:
                self.head = next(demuxer).head
                with Decoder(self.head, slots=SLOTS, limits=self._limits) as decoder:
                    yield from self._decoded(demuxer, decoder)
        except (StreamError, FrameError) as error:
            self._break(error)

    def _decoded(self, demuxer: Demuxer, decoder: Decoder) -> Iterator[Frame]:
        clock = Clock(self.head)
        number = 0
        while (packet := self._next(demuxer)) is not None:
            packet.number, number = number, number + 1
            self._accounts.expect(packet)
            decoder.send(packet)
            yield from self._take(decoder, clock, 0)
            while decoder.under_way >= UNDER_WAY:
                yield from self._take(decoder, clock, PATIENCE_S)
        decoder.finish()
        while not decoder.done:
            yield from self._take(decoder, clock, PATIENCE_S)
        for silent in sorted(self._accounts.expected):
            self._pass_over(silent)

    def _next(self, demuxer: Demuxer) -> Packet | None:
        """The next packet; None where the file ends, or breaks: what came before still comes out of the decoder."""
        try:
            return next(demuxer).packet
        except StopIteration:
            return None
        except StreamError as error:
            self._break(error)
            return None

    def _break(self, error: FacewardenError) -> None:
        """Notes why it ends here, without the folder that the file lies in."""
        self.reason = str(error).replace(str(self._path), self._path.name)

    def _take(self, decoder: Decoder, clock: Clock, timeout_s: float) -> Iterator[Frame]:
        for item in decoder.receive(timeout_s):
            if isinstance(item, Undecodable):
                self._lose(item.number, "undecodable")
                continue
            packet = self._came(item)
            if packet is not None:
                yield self._frame(item, clock.at(packet))
                self.shown += 1
                self._accounts.settle(item.number)
            decoder.release(item.slot)
        self._accounts.decoded(decoder.decoded)
        for silent in self._accounts.overdue():
            self._pass_over(silent)

    def _came(self, item: Decoded) -> Packet | None:
        """The packet of a picture that is to be looked at."""
        if item.corrupt:
            self._lose(item.number, "corrupt")
        return self._accounts.came(item.number)

    def _frame(self, item: Decoded, time_s: float) -> Frame:
        return Frame(self._stream, self.shown, time_s, item.picture, rotation=self.head.rotation)

    def _pass_over(self, number: int) -> None:
        """A packet that gave neither a picture nor an error."""
        if self._accounts.expected[number].packet.discard or self.head.codec in HIDES_PACKETS:
            self._accounts.discard(number)
        else:
            self._lose(number, "undecodable")

    def _lose(self, number: int, why: str) -> None:
        if number in self._accounts.expected:
            self.lost[why] += 1
            self._accounts.settle(number)


class Clock:
    """When frames are shown, in seconds from the first one on.

    >>> clock = Clock(Head(timed=False))
    >>> [clock.at(Packet()), clock.at(Packet())]
    [0.0, 0.04]
    """

    def __init__(self, head: Head) -> None:
        rate = fraction(head.rate) or USUAL_RATE
        self._tick_s, self._base_s = float(1 / rate), float(fraction(head.time_base))
        self._timed, self._may_jump = head.timed, head.clock_may_jump
        self._before: float | None = None
        self._time_s = -self._tick_s

    def at(self, packet: Packet) -> float:
        """Of the next frame in the order of showing; never before the one before it."""
        stamp = packet.pts * self._base_s if self._timed and packet.HasField("pts") else None
        step = self._tick_s
        if stamp is not None and self._before is not None:
            step = stamp - self._before
            if step < -1 or (self._may_jump and step > CLOCK_JUMP_S):
                step = self._tick_s
        if stamp is not None:
            self._before = stamp
        elif self._before is not None:
            self._before += step
        self._time_s += max(step, 0.0)
        return round(self._time_s, 6)
