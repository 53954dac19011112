"""Which packets of a stream are accounted for: the ledger, and the border that a commit stores.

A packet is settled once its frame has been released, withheld, or is known never to be shown. Frames come out of a
decoder in another order than their packets went in, so the settled ones are all below a border and a few above.
Audio is settled, and passed on, when the border goes by.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from operators.frame import Faces
from pipeline.live.resume import ResumePoint
from pipeline.wire import FATE_COVERED_WHOLE, FATE_WITHHELD, Fate, Ledger, Packet


class PacketLedger:
    """The accounts of one stream, continued from what was committed last.

    Attributes:
        counts: what the stream's end will report.
        border: packets below it are settled.
    """

    def __init__(self, resume: ResumePoint) -> None:
        self.counts = Ledger()
        self.counts.CopyFrom(resume.ledger)
        self.border: int = resume.settled_below
        self._above = set(resume.settled)
        self._audio: dict[int, Packet] = {}
        self._passed: deque[Packet] = deque()
        self._since_s = time.monotonic()
        self._wall_before_s = resume.ledger.wall_s

    # -- packets -----------------------------------------------------------------------------------

    @property
    def above(self) -> tuple[int, ...]:
        """Settled packets above the border."""
        return tuple(sorted(self._above))

    def is_settled(self, number: int) -> bool:
        """Whether the packet was accounted for, in this life or an earlier one."""
        return number < self.border or number in self._above

    def discard(self, number: int) -> None:
        """The container or the codec never shows this one."""
        self.counts.discarded += 1
        self._settle(number)

    def lose(self, number: int, reason: str) -> None:
        """No picture came of this one."""
        self.counts.withheld[reason] += 1
        self._settle(number)

    def show(self, number: int, fate: Fate.ValueType, faces: Faces, withheld: str = "") -> None:
        """The frame of this packet has been released, or withheld.

        Args:
            withheld: the reason in a word, where it was.
        """
        if fate == FATE_WITHHELD:
            self.counts.withheld[withheld] += 1
        else:
            self.counts.shown += 1
            self.counts.covered_whole += fate == FATE_COVERED_WHOLE
            self.counts.faces += int((~faces.kept & ~faces.zones).sum())
            self.counts.kept += int(faces.kept.sum())
        self.counts.tracks = max(self.counts.tracks, int(faces.tracks[~faces.zones].max(initial=0)))
        self._settle(number)

    def _settle(self, number: int) -> None:
        self._above.add(number)
        self._advance()

    def _advance(self) -> None:
        while True:
            if self.border in self._above:
                self._above.remove(self.border)
            elif self.border in self._audio:
                self._passed.append(self._audio.pop(self.border))
            else:
                return
            self.border += 1

    # -- audio -------------------------------------------------------------------------------------

    def expect_audio(self, packet: Packet) -> None:
        """Enters an audio packet, unless it was passed on in an earlier life."""
        if packet.number >= self.border:
            self._audio[packet.number] = packet
            self._advance()

    def passed_audio(self) -> list[Packet]:
        """Audio that the border has passed since the last call, in order."""
        passed, self._passed = list(self._passed), deque()
        return passed

    def close(self) -> None:
        """The stream has ended: nothing holds back the rest of the audio."""
        self._passed.extend(self._audio[number] for number in sorted(self._audio))
        self._audio.clear()

    # -- time --------------------------------------------------------------------------------------

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Counts the CPU time of this process within it for a stage."""
        before = time.process_time()
        try:
            yield
        finally:
            self.add_cpu(stage, (time.process_time() - before) * 1000)

    def add_cpu(self, stage: str, cpu_ms: float) -> None:
        self.counts.cpu_ms[stage] += cpu_ms

    def count_wall(self) -> None:
        """Brings the wall time up to now."""
        self.counts.wall_s = self._wall_before_s + time.monotonic() - self._since_s
