"""One unbroken run of a source's encoder: its packets into the decoder, its pictures into the look-ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from operators.frame import Frame
from pipeline.config import Config
from pipeline.live.frame_report import MICROSECONDS, utc_us_of
from pipeline.live.lookahead import LATE_S, LookAhead, PendingFrame
from pipeline.live.record_queue import RecordQueue
from pipeline.live.release import attempt
from pipeline.live.resume import DecodeMark, DecodeMarks, ResumePoint
from pipeline.live.unit_cuts import UnitCuts
from pipeline.media import slot_count
from pipeline.media.clock import FrameClock
from pipeline.media.intake import Intake, PacketLost, PictureCame
from pipeline.wire import Head, Packet

KEPT_BACKLOGS = 4
"""So many times the backlog in packets, and once in bytes, are kept for whoever takes a stream over in a long GOP."""


class SourceEpoch:
    """A decoder of its own, and no way back to what was before it.

    Args:
        mark: where it begins, with its head.
        point: what was released before it.
        lookahead: where frames go.
        queue: knows how much has come in meanwhile.
        config: the run's.
        deaths: see `Intake`.

    Attributes:
        low_latency: packets are to leave as they are ready.
        wait_s: how long frames wait in the look-ahead.
        blind: it was taken over in the middle of a GOP whose beginning is no longer stored.
    """

    def __init__(
        self,
        mark: DecodeMark,
        point: ResumePoint,
        lookahead: LookAhead,
        queue: RecordQueue,
        config: Config,
        deaths: Mapping[int, int],
    ) -> None:
        self.head: Head = mark.head
        self.low_latency = config.delivery == "low_latency" or (config.delivery == "auto" and self.head.live)
        self.wait_s = config.wait_ms(live=self.head.live) / 1000
        slots = slot_count(self.head, memory_bytes=config.lookahead_mb << 20)
        self.intake = Intake(self.head, slots=slots, limits=config.jail.limits, deaths=deaths)
        self.marks = DecodeMarks(mark, max_packets=KEPT_BACKLOGS * config.backlog, max_bytes=config.backlog_mb << 20)
        self.blind = False
        self._clock = FrameClock(self.head, last_pts=point.last_pts, scene_s=point.scene_s, index=point.epoch_index)
        self._index = point.next_index
        self._lookahead, self._queue = lookahead, queue
        self._cuts = UnitCuts()
        self._shape: tuple[Any, ...] | None = None

    def send(self, packet: Packet, offset: int, *, settled: bool) -> PacketLost | None:
        """Decodes a video packet that stands at that offset; see `Intake.send`."""
        self.blind &= not packet.key
        self.marks.add(DecodeMark(offset, packet.number, self.head), key=packet.key, size=len(packet.data))
        if self.blind:
            return None if settled else PacketLost(packet.number, "undecodable", "its keyframe is no longer stored")
        self._clock.expect(packet)
        return self.intake.send(packet, settled=settled)

    def arrive(self, came: PictureCame) -> None:
        """Takes a picture through the steps that look ahead, and has it wait for what comes after it."""
        packet, picture = came.packet, came.decoded.picture
        stamp = self._clock.stamp(packet)
        shown = came.decoded.shown
        shape = picture.width, picture.height, picture.format.name, shown
        opens = stamp.jumped or (self._shape is not None and shape != self._shape)
        self._shape = shape
        source_s = self._clock.seconds(stamp.pts)
        utc_us = utc_us_of(self.head, stamp.pts, packet.received_us)
        name = self._lookahead.stream
        frame = Frame(name, self._index, stamp.scene_s, picture, shown=shown, clock_s=source_s)
        pending = PendingFrame(
            frame, stamp, packet.number, came.decoded.slot, self._clock.index, opens_epoch=opens, utc_us=utc_us
        )
        shown_at = stamp.pts * self._clock.base
        if self._cuts.before(
            key=packet.key, number=packet.number, time_s=shown_at, low_latency=self.low_latency, forced=opens
        ):
            pending.cut = self._lookahead.arrived()
        self._index += 1
        if stamp.jumped:
            self._queue.newest = (self.head.epoch, stamp.pts)
        if self.lag_s(stamp.pts, utc_us) > LATE_S:
            pending.failed, pending.late = "too late: the worker cannot keep up with the camera", True
        else:
            attempt(pending, self._look)
        pending.frame = replace(pending.frame)  # drops the BGR copy; the window holds planes only
        self._lookahead.window.append(pending)

    def _look(self, pending: PendingFrame) -> None:
        self._lookahead.look(pending, lag_s=self.lag_s(pending.stamp.pts, pending.utc_us))

    def has_due(self) -> bool:
        """Whether the frame that waited longest is to be released."""
        return self._lookahead.is_due(free_slots=self.intake.free, wait_s=self.wait_s)

    def lag_s(self, pts: int, received_us: int) -> float:
        """For how long pictures of a live stream have come in after this one; 0 where every frame counts and has time.

        By when they were received, where that is known: a camera's clock may stand, and what it sends in a burst is not
        late for that.

        Args:
            received_us: when this one was, Unix time; 0 where unknown.
        """
        epoch, newest = self._queue.newest
        if not (self.head.live and self.low_latency) or epoch != self.head.epoch:
            return 0.0
        if received_us and self._queue.received_us:
            return max(0.0, (self._queue.received_us - received_us) / MICROSECONDS)
        return self._clock.seconds(newest - pts)
