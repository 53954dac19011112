"""Which packets of a stream are accounted for: the ledger, and the border that a commit stores.

A packet is settled once its frame has been released, withheld, or is known never to be shown. Frames come out of a
decoder in another order than their packets went in, so the settled ones are all below a border and a few above.
Audio is settled, and passed on, when the border goes by.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pipeline.wire import Ledger, Packet, StreamState

REORDER = 32
"""No codec shows a picture after more than 16 pictures that were coded behind it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A video packet whose frame has not come out yet, the how-manieth it is, without its data."""

    packet: Packet
    ordinal: int


class PacketLedger:
    """The accounts of one stream, continued from the state that was committed last."""

    def __init__(self, state: StreamState) -> None:
        self.ledger: Ledger = state.ledger
        self.expected: dict[int, Expected] = {}
        self.border: int = state.settled_below
        self._above = set(state.settled)
        self._audio: dict[int, Packet] = {}
        self._passed: deque[Packet] = deque()
        self._count = 0
        self._newest = -1

    @property
    def entered(self) -> int:
        """How many video packets have been entered in this life."""
        return self._count

    def decoded(self, count: int) -> None:
        """The first `count` of the packets that were entered have been decoded."""
        self._newest = max(self._newest, count - 1)

    @property
    def above(self) -> list[int]:
        """Settled packets above the border."""
        return sorted(self._above)

    def expect(self, packet: Packet) -> bool:
        """Enters a video packet; false if it was settled in an earlier life."""
        ordinal, self._count = self._count, self._count + 1
        if packet.number < self.border or packet.number in self._above:
            return False
        self.expected[packet.number] = Expected(_without_data(packet), ordinal)
        return True

    def expect_audio(self, packet: Packet) -> None:
        """Enters an audio packet, unless it was passed on in an earlier life."""
        if packet.number >= self.border:
            self._audio[packet.number] = packet
            self._advance()

    def came(self, number: int) -> Packet | None:
        """A frame has come out of this packet; None if nobody waits for it."""
        expected = self.expected.get(number)
        if expected is None:
            return None
        if expected.packet.discard:
            self.discard(number)
            return None
        del self.expected[number]
        return expected.packet

    def discard(self, number: int) -> None:
        """The container or the codec never shows this one."""
        self.ledger.discarded += 1
        self.settle(number)

    def settle(self, number: int) -> None:
        self.expected.pop(number, None)
        self._above.add(number)
        self._advance()

    def overdue(self) -> list[int]:
        """Packets whose frame can no longer come, since much later packets have been decoded."""
        late = []
        for number, expected in self.expected.items():
            if expected.ordinal >= self._newest - REORDER:
                break
            late.append(number)
        return late

    def passed_audio(self) -> list[Packet]:
        """Audio that the border has passed since the last call, in order."""
        passed, self._passed = list(self._passed), deque()
        return passed

    def close(self) -> None:
        """The stream has ended: nothing holds back the rest of the audio."""
        self._passed.extend(self._audio[number] for number in sorted(self._audio))
        self._audio.clear()

    def _advance(self) -> None:
        while True:
            if self.border in self._above:
                self._above.remove(self.border)
            elif self.border in self._audio:
                self._passed.append(self._audio.pop(self.border))
            else:
                return
            self.border += 1


def _without_data(packet: Packet) -> Packet:
    slim = Packet(number=packet.number, duration=packet.duration, key=packet.key, discard=packet.discard)
    slim.received_us = packet.received_us
    if packet.HasField("pts"):
        slim.pts = packet.pts
    return slim
