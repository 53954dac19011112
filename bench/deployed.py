"""The frames of a stream through the very operators and look-ahead of a run, with the covers that they leave with."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from operators import Operator
from operators.frame import Cover, Frame
from pipeline.live.lookahead import LookAhead, PendingFrame
from pipeline.media.clock import FrameStamp
from pipeline.media.decoder import slot_count
from pipeline.wire import Head


@dataclass
class Pass:
    """What a stream took.

    Attributes:
        whole: frames that no detector examined, and that one cover hides.
        cpu_s: in operators.
    """

    frames: int = 0
    whole: int = 0
    cpu_s: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)


def released(
    operators: Mapping[str, Operator],
    frames: Iterable[Frame],
    lookahead_ms: float,
    spent: Pass,
    *,
    memory_mb: int = 128,
) -> Iterator[Frame]:
    """Frames with covers as a run releases them; what no detector examined has one cover over all.

    Args:
        operators: opened steps by name.
        frames: of one stream and one size, in order.
        lookahead_ms: how long a frame waits for what comes after it.
        spent: is added to.
        memory_mb: what waiting pictures may take, as `lookahead_mb` of a config.
    """

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        began = time.process_time()
        yield
        took = time.process_time() - began
        spent.cpu_s += took
        spent.stages[stage] = spent.stages.get(stage, 0.0) + took

    waiting = LookAhead("", dict(operators), timed)
    window, wait_s, slots = waiting.window, lookahead_ms / 1000, 0

    def release() -> Frame:
        frame = waiting.settle(window.popleft().frame)
        spent.frames += 1
        if not frame.examined:
            spent.whole += 1
            everything = Cover((0, 0, frame.picture.width, frame.picture.height), shape="box")
            frame = replace(frame, covers=(everything,))
        return frame

    for arrived in frames:
        slots = slots or _slots(arrived, memory_mb)
        pending = PendingFrame(arrived, FrameStamp(arrived.index, 1), arrived.index, 0, arrived.index)
        waiting.look(pending, lag_s=0.0)
        pending.frame = replace(pending.frame)
        window.append(pending)
        while waiting.is_due(free_slots=slots - len(window), wait_s=wait_s):
            yield release()
    while window:
        yield release()


def _slots(frame: Frame, memory_mb: int) -> int:
    """How many pictures of this size a run's decoder has room for."""
    head = Head(width=frame.picture.width, height=frame.picture.height, pixel_format=frame.picture.format.name)
    return slot_count(head, memory_bytes=memory_mb << 20)
