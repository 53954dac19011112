"""The frames of an uploaded file, for whoever looks at them and gives nothing out: decoded in a jail, once, in order.

Not for hiding faces: what cannot be decoded is counted here and passed over, and there is no way back into the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from engines import FacewardenError, FrameError, StreamError
from operators.frame import Frame
from pipeline.jail.parent import JailLimits
from pipeline.media import Demuxer
from pipeline.media.clock import FrameClock, FrameStamp, SceneClock
from pipeline.media.intake import CORRUPT, Intake, PacketLost, PacketOutcome, PictureCame
from pipeline.wire import Head, Packet, fraction

SLOTS = 4
PATIENCE_S = 0.05


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
        self.head, self.shown, self.reason = Head(), 0, ""
        self.lost: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Frame]:
        try:
            with Demuxer(str(self._path), audio=False, limits=self._limits) as demuxer:
                self.head = next(demuxer).head
                intake = Intake(self.head, slots=SLOTS, limits=self._limits)
                try:
                    yield from self._decoded(demuxer, intake, ShownTime(self.head))
                finally:
                    intake.close()
        except (StreamError, FrameError) as error:
            self._break(error)

    def _decoded(self, demuxer: Demuxer, intake: Intake, clock: ShownTime) -> Iterator[Frame]:
        number = 0
        while (packet := self._next(demuxer)) is not None:
            packet.number, number = number, number + 1
            clock.expect(packet)
            intake.send(packet)
            yield from self._shown(intake.outcomes(0), intake, clock)
            while intake.full:
                yield from self._shown(intake.outcomes(PATIENCE_S), intake, clock)
        intake.finish()
        while not intake.done:
            yield from self._shown(intake.outcomes(PATIENCE_S), intake, clock)
        yield from self._shown(intake.silent(), intake, clock)

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

    def _shown(self, outcomes: Iterable[PacketOutcome], intake: Intake, clock: ShownTime) -> Iterator[Frame]:
        for outcome in outcomes:
            if isinstance(outcome, PictureCame):
                yield self._frame(outcome, clock)
                self.shown += 1
                intake.release(outcome.decoded.slot)
            elif isinstance(outcome, PacketLost):
                self.lost["corrupt" if outcome.detail == CORRUPT else outcome.reason] += 1

    def _frame(self, came: PictureCame, clock: ShownTime) -> Frame:
        time_s = clock.at(came.packet)
        picture, shown = came.decoded.picture, came.decoded.shown
        return Frame(self._stream, self.shown, clock.scene_s, picture, shown=shown, clock_s=time_s)


class ShownTime:
    """When frames are shown, in seconds from the first one on; a clock that jumps goes on a frame later.

    Attributes:
        scene_s: of the last frame, by a clock that never stands or crawls.

    >>> clock = ShownTime(Head(timed=False))
    >>> [clock.at(Packet()), clock.at(Packet())]
    [0.0, 0.04]
    """

    def __init__(self, head: Head) -> None:
        self._clock = FrameClock(head)
        self._timed = head.timed
        self._before: FrameStamp | None = None
        self._stamped = False
        self._time_s = self.scene_s = 0.0
        self._scene = SceneClock(fraction(head.rate))

    def expect(self, packet: Packet) -> None:
        """As `FrameClock.expect`."""
        self._clock.expect(packet)

    def at(self, packet: Packet) -> float:
        """Of the next frame in the order of showing."""
        stamp, before = self._clock.stamp(packet), self._before
        if before is not None:
            # Frames before the first time stamp of all have stamps that were made up.
            comparable = self._stamped or not self._timed
            step = stamp.pts - before.pts if comparable and not stamp.jumped else stamp.duration
            self._time_s += self._clock.seconds(step)
        self._before, self._stamped = stamp, self._stamped or packet.HasField("pts")
        self.scene_s = round(self._scene.at(self._time_s), 6)
        return round(self._time_s, 6)
