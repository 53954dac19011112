"""Which packets of `masked` make one unbroken video, and on which clock.

Where two encoder runs overlap, as after a takeover in `low_latency`, it keeps what it has and enters the new epoch only
at a keyframe that goes on where it stands: a GOP that is continued by another run decodes to uncovered faces.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

from pipeline.wire import Head, Packet, StreamRecord, fraction

STRAY_S = 10
"""Where clocks have jumped: how far sound may lie from the pictures, in seconds."""
LONGEST_PAUSE_S = 60
"""A camera that comes back within this time goes on in the same file, which stands still meanwhile."""
MOST_EARLY = 1024
"""Packets of sound that may wait to be seen as what they are."""
MICROSECONDS = 1_000_000
_NEVER = Fraction(-(1 << 40))

Spliced = tuple[Head | None, Packet, Fraction]


class Splicer:
    """Chooses, from the records of `masked`, the packets of one unbroken video, and shifts their clock.

    Sound may come before the pictures of its epoch: it is held until they are there, and takes their shift. Sound that
    would step back in its track is dropped. Where its clock alone steps, it goes on beside the pictures: of a camera at
    once; of a file it waits first, for the pictures' clock may step as well.
    """

    def __init__(self) -> None:
        self.shown = 0
        self._heads: dict[int, Head] = {}
        self._epoch = -1
        self._want = 0
        self._shifts: dict[int, Fraction] = {}  # of the epochs in the output that is open
        self._end_s: Fraction | None = None
        self._received_us = 0
        self._anew = False
        self._held: list[Packet] = []
        self._early: list[Packet] = []
        self._sound: dict[int, tuple[int, Fraction]] = {}  # by track: the last number and time
        self._steps: dict[int, Fraction] = {}  # by track: what its clock has stepped against the pictures'

    def take(self, record: StreamRecord) -> Iterator[Spliced]:
        """Yields (head if a new output begins here, packet, shift in seconds) for what belongs into the video now."""
        if record.WhichOneof("body") == "head":
            self._heads[record.head.epoch] = record.head
            return
        if not record.HasField("packet"):
            return
        packet = record.packet
        if packet.track:
            yield from self._take_sound(packet)
            return
        begins = None
        if packet.epoch != self._epoch:
            if packet.epoch not in self._heads:
                return  # a sink that joined in waits for the next head
            if packet.epoch < self._epoch or packet.number < self._want or not packet.key:
                return
            begins = self._enter(packet)
        elif self._anew:
            if not packet.key:
                return
            begins = self._begin(packet)
        shift = self._shifts[packet.epoch]
        self.shown += 1
        self._want = max(self._want, packet.number + 1)
        end_s = (packet.pts + packet.duration) * fraction(self._heads[packet.epoch].time_base) + shift
        self._end_s = end_s if self._end_s is None else max(self._end_s, end_s)
        self._received_us = packet.received_us
        yield begins, packet, shift
        waiting, self._held, self._early = [*self._early, *self._held], [], []
        for sound in waiting:
            yield from self._take_sound(sound)

    def conclude(self) -> Iterator[Spliced]:
        """Yields what has waited for pictures that never came; after the stream's end."""
        waiting, self._early = self._early, []
        for packet in waiting:
            yield from self._put_sound(packet, self._time_of(packet))

    @property
    def length_s(self) -> float:
        """Of the output that is open, of a camera; in seconds."""
        return float(self._end_s or 0)

    @property
    def head(self) -> Head | None:
        """Of the epoch that it is in."""
        return self._heads.get(self._epoch)

    def begin_anew(self) -> None:
        """The next keyframe begins a new output."""
        self._anew = True

    # -- pictures --------------------------------------------------------------------------------------

    def _enter(self, packet: Packet) -> Head | None:
        """Moves to the packet's epoch; returns its head if it cannot go into the output that is open."""
        head, before = self._heads[packet.epoch], self._heads.get(self._epoch)
        shift = self._shifts.get(self._epoch, Fraction(0))
        self._epoch = packet.epoch
        self._heads = {epoch: known for epoch, known in self._heads.items() if epoch >= packet.epoch}
        pause_s = self._pause_s(packet)
        if self._anew or before is None or not _fits(before, head) or pause_s > LONGEST_PAUSE_S:
            return self._begin(packet)
        if not head.continues and self._end_s is not None:
            shift = self._end_s + pause_s - packet.pts * fraction(head.time_base)
            for early in self._early:
                early.epoch = packet.epoch
        if not head.continues:
            self._steps = {}
        self._shifts[packet.epoch] = shift
        return None

    def _begin(self, packet: Packet) -> Head:
        """A new output begins with this keyframe: of a camera at zero, of a file where its clock is."""
        head = self._heads[packet.epoch]
        shift = -packet.pts * fraction(head.time_base) if head.live else Fraction(0)
        self._shifts, self._end_s, self._anew = {packet.epoch: shift}, None, False
        self._sound = {track: (number, _NEVER) for track, (number, _) in self._sound.items()}
        self._steps, self._early = {}, []
        return head

    def _pause_s(self, packet: Packet) -> Fraction:
        """For how long a camera had sent nothing before this picture; 0 of a file, and where nobody knows."""
        if not self._received_us or not packet.received_us or self._heads[packet.epoch].continues:
            return Fraction(0)
        length_s = packet.duration * fraction(self._heads[packet.epoch].time_base)
        return max(Fraction(0), Fraction(packet.received_us - self._received_us, MICROSECONDS) - length_s)

    # -- sound -----------------------------------------------------------------------------------------

    def _take_sound(self, packet: Packet) -> Iterator[Spliced]:
        if packet.epoch > self._epoch:
            self._held.append(packet)
            return
        if packet.epoch not in self._shifts or packet.number <= self._sound.get(packet.track, (-1, 0))[0]:
            return
        if packet.track not in {track.track for track in self._heads[self._epoch].audio}:
            return
        time_s, before = self._time_of(packet), self._sound.get(packet.track, (-1, _NEVER))[1]
        live, jumped = self._heads[self._epoch].live, len(self._shifts) > 1
        if self._end_s is not None and abs(time_s - self._end_s) > STRAY_S and (live or jumped or before != _NEVER):
            steps = before != _NEVER and abs(time_s - before) > STRAY_S
            if live or (jumped and steps):
                beside = max(self._end_s, before + self._length_s(packet))
                self._steps[packet.track] = self._steps.get(packet.track, Fraction(0)) + beside - time_s
                time_s = beside
            elif jumped:
                return
            elif steps and len(self._early) < MOST_EARLY:
                self._early.append(packet)
                return
        yield from self._put_sound(packet, time_s)

    def _put_sound(self, packet: Packet, time_s: Fraction) -> Iterator[Spliced]:
        number, before = self._sound.get(packet.track, (-1, _NEVER))
        if time_s >= before and packet.number > number:
            self._sound[packet.track] = (packet.number, time_s)
            yield None, packet, self._shifts[packet.epoch] + self._steps.get(packet.track, Fraction(0))

    def _time_of(self, packet: Packet) -> Fraction:
        """When it is decoded in the output, in seconds."""
        ticks = packet.dts if packet.HasField("dts") else packet.pts
        shift = self._shifts[packet.epoch] + self._steps.get(packet.track, Fraction(0))
        return ticks * self._base(packet.track) + shift

    def _length_s(self, packet: Packet) -> Fraction:
        return max(1, packet.duration) * self._base(packet.track)

    def _base(self, track: int) -> Fraction:
        return next(fraction(known.time_base) for known in self._heads[self._epoch].audio if known.track == track)

    # -- for who goes on -------------------------------------------------------------------------------

    def to_json(self) -> str:
        """All that is known, for `from_json`.

        >>> Splicer.from_json(Splicer().to_json()).shown
        0
        """
        state = {
            "shown": self.shown,
            "heads": {epoch: _text(head.SerializeToString()) for epoch, head in self._heads.items()},
            "epoch": self._epoch,
            "want": self._want,
            "shifts": {epoch: str(shift) for epoch, shift in self._shifts.items()},
            "end_s": None if self._end_s is None else str(self._end_s),
            "received_us": self._received_us,
            "anew": self._anew,
            "sound": {track: (number, str(time_s)) for track, (number, time_s) in self._sound.items()},
            "steps": {track: str(step) for track, step in self._steps.items()},
            "held": [_text(packet.SerializeToString()) for packet in self._held],
            "early": [_text(packet.SerializeToString()) for packet in self._early],
        }
        return json.dumps(state)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """As `to_json` has left it."""
        state: dict[str, Any] = json.loads(text)
        made = cls()
        made.shown, made._epoch, made._want = state["shown"], state["epoch"], state["want"]
        made._heads = {int(epoch): Head.FromString(base64.b64decode(head)) for epoch, head in state["heads"].items()}
        made._shifts = {int(epoch): Fraction(shift) for epoch, shift in state["shifts"].items()}
        made._end_s = None if state["end_s"] is None else Fraction(state["end_s"])
        made._received_us, made._anew = state["received_us"], state["anew"]
        made._sound = {int(track): (number, Fraction(time_s)) for track, (number, time_s) in state["sound"].items()}
        made._steps = {int(track): Fraction(step) for track, step in state["steps"].items()}
        made._held = [Packet.FromString(base64.b64decode(packet)) for packet in state["held"]]
        made._early = [Packet.FromString(base64.b64decode(packet)) for packet in state["early"]]
        return made


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _fits(before: Head, after: Head) -> bool:
    """One output can hold both: the same picture, encoded with the same parameters, on the same clock."""
    names = ("codec", "extradata", "width", "height", "pixel_format", "shown", "time_base", "audio")
    return all(getattr(before, name) == getattr(after, name) for name in names)
