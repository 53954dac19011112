"""A decoder in this process that does with each packet what the packet's data says: for tests of what stands around it.

It keeps the rules of `pipeline.media.Decoder` that its callers rely on: packets are decoded in turn, one that is being
decoded is the suspect, a picture takes a slot until it is released, and nothing is decoded while all slots are taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from engines import FrameError
from operators.frame import PIXEL_FORMATS, Picture
from pipeline.jail.parent import DEFAULT_LIMITS, JailLimits
from pipeline.media import Decoded, Undecodable
from pipeline.wire import Head, Packet, Rational

SHOWN, CORRUPT, BROKEN, SILENT, FATAL = b"shown", b"corrupt", b"broken", b"silent", b"fatal"
"""What becomes of a packet: a picture, one with invented parts, a refusal, nothing at all, the decoder's death."""

WIDTH, HEIGHT = 64, 48
BASE = 1000
"""Ticks a second."""
TICK = 40


def head(*, codec: str = "h264", live: bool = False, epoch: int = 0, may_jump: bool = False) -> Head:
    """Of a source with 25 pictures of 64x48 a second, whose clock counts milliseconds."""
    return Head(
        epoch=epoch,
        codec=codec,
        width=WIDTH,
        height=HEIGHT,
        pixel_format="yuv420p",
        time_base=Rational(num=1, den=BASE),
        rate=Rational(num=25, den=1),
        timed=True,
        live=live,
        clock_may_jump=may_jump,
    )


def packet(number: int, data: bytes = SHOWN, *, key: bool = False, discard: bool = False) -> Packet:
    """The video packet of that number, shown when its turn is."""
    return Packet(number=number, pts=number * TICK, duration=TICK, key=key, discard=discard, data=data)


def picture(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """Noise in yuv420p, so that what has been painted over it can be seen."""
    layout, noise = PIXEL_FORMATS["yuv420p"], np.random.default_rng(seed)
    y, u, v = (noise.integers(16, 235, shape, np.uint8) for shape in layout.plane_shapes(width, height))
    return Picture((y, u, v), layout)


class ScriptedDecoder:
    """See the module.

    Attributes:
        waited_s: with which patience each `receive` was called.
    """

    def __init__(self, head: Head, *, slots: int, limits: JailLimits = DEFAULT_LIMITS) -> None:
        self.head, self.limits = head, limits
        self.decoded, self.cpu_ms, self.closed = 0, 0.0, False
        self.held: set[int] = set()
        self.received: list[int] = []
        self.waited_s: list[float] = []
        self._slots, self._finishing = slots, False
        self._under_way: deque[Packet] = deque()

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    @property
    def free(self) -> int:
        return self._slots - len(self.held)

    @property
    def suspect(self) -> int | None:
        return self._under_way[0].number if self._under_way else None

    @property
    def done(self) -> bool:
        return self._finishing and not self._under_way

    def send(self, packet: Packet) -> None:
        self.received.append(packet.number)
        self._under_way.append(packet)

    def finish(self) -> None:
        self._finishing = True

    def receive(self, timeout_s: float) -> list[Decoded | Undecodable]:
        self.waited_s.append(timeout_s)
        items: list[Decoded | Undecodable] = []
        while self._under_way and self.free:
            next_packet = self._under_way[0]
            if next_packet.data == FATAL:
                if items:
                    break
                raise FrameError("the decoder died")
            self._under_way.popleft()
            self.decoded, self.cpu_ms = self.decoded + 1, self.cpu_ms + 1
            if next_packet.data == BROKEN:
                items.append(Undecodable(next_packet.number, "made to be refused"))
            elif next_packet.data in (SHOWN, CORRUPT):
                slot = min(set(range(self._slots)) - self.held)
                self.held.add(slot)
                corrupt = next_packet.data == CORRUPT
                seed = next_packet.number
                items.append(Decoded(seed, slot, picture(seed, self.head.width, self.head.height), corrupt))
        return items

    def release(self, slot: int) -> None:
        self.held.remove(slot)

    def close(self) -> None:
        self.closed = True


@contextmanager
def scripted_decoders() -> Iterator[list[ScriptedDecoder]]:
    """While it is open, an intake opens this decoder; the list holds all that were opened."""
    opened: list[ScriptedDecoder] = []

    def open_decoder(head: Head, *, slots: int, limits: JailLimits) -> ScriptedDecoder:
        opened.append(ScriptedDecoder(head, slots=slots, limits=limits))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.media.intake.Decoder", open_decoder)
        yield opened
