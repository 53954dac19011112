"""The operators of a run on the frames of one stream: what looks at a frame when it arrives, and what may improve it
while it waits, by what comes after it.

No frame leaves for a look at another one: detectors see each of them, or know by its own pixels what of it is new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from operators import Concludes, LooksAhead, MayRest, Operator, Remembers
from operators.frame import Frame, Verdict
from pipeline.media.clock import FrameStamp

LAGS_S, LATE_S = 0.2, 3.0
"""When a live stream lags its camera by this much, detectors rest that can, and covers are plain; and frames that lag
by this much are withheld."""

NamedSteps = list[tuple[str, Operator]]


@dataclass(slots=True)
class PendingFrame:
    """A decoded frame that waits in the look-ahead.

    Attributes:
        number: of its packet.
        slot: of the decoder, in which its picture lies.
        epoch_index: how many frames of the source's epoch there are with it.
        failed: why it could not be examined; empty if it was.
        late: it was not looked at because the stream lags too much.
        cut: what the operators remembered before this frame, if a unit may end there.
        opens_epoch: nothing before it belongs to the same output.
        utc_us: Unix time, 0 where unknown.
    """

    frame: Frame
    stamp: FrameStamp
    number: int
    slot: int
    epoch_index: int
    failed: str = ""
    late: bool = False
    cut: Mapping[str, bytes] | None = None
    opens_epoch: bool = False
    utc_us: int = 0


class LookAhead:
    """All steps on one stream, and the frames that wait for what comes after them.

    Args:
        operators: opened steps by name; shared with other streams, state is keyed by stream.
        timed: counts the time within it for a stage of that name.

    Attributes:
        stream: its name.
        window: the frames that wait, oldest first.
    """

    def __init__(
        self, stream: str, operators: Mapping[str, Operator], timed: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self.window: deque[PendingFrame] = deque()
        self.stream, self._timed = stream, timed
        last_ahead = max((i for i, op in enumerate(operators.values()) if isinstance(op, LooksAhead)), default=-1)
        self._arrival = list(operators.items())[: last_ahead + 1]
        self._release = list(operators.items())[last_ahead + 1 :]
        self._resting = {name: op for name, op in operators.items() if isinstance(op, MayRest)}
        self._looking_ahead = [(name, op) for name, op in self._arrival if isinstance(op, LooksAhead)]

    # -- what operators remember -------------------------------------------------------------------

    def begin(self, stored: Mapping[str, bytes]) -> None:
        """Gives operators what was stored of the stream, and nothing else to remember of it."""
        for name, operator in _remembering([*self._arrival, *self._release]):
            operator.forget(self.stream)
            if name in stored:
                operator.restore(self.stream, stored[name])

    def arrived(self) -> dict[str, bytes]:
        """What the operators remember that frames have gone through on arrival."""
        return self._snapshot(self._arrival)

    def released(self) -> dict[str, bytes]:
        """What those remember that frames go through when they are released."""
        return self._snapshot(self._release)

    def _snapshot(self, steps: NamedSteps) -> dict[str, bytes]:
        return {name: operator.snapshot(self.stream) for name, operator in _remembering(steps)}

    def conclude(self) -> list[Verdict]:
        """What operators claim about the stream as a whole."""
        concluding = (op for _, op in (*self._arrival, *self._release) if isinstance(op, Concludes))
        return [verdict for operator in concluding for verdict in operator.verdicts(self.stream)]

    def forget(self) -> None:
        for _, operator in _remembering([*self._arrival, *self._release]):
            operator.forget(self.stream)

    # -- frames ------------------------------------------------------------------------------------

    def look(self, pending: PendingFrame, *, lag_s: float) -> None:
        """Takes a frame that has arrived through the steps up to the last one that looks ahead.

        Args:
            lag_s: by how much the stream lags its camera.
        """
        for name, operator in self._arrival:
            pending.frame = self._after(name, operator, pending.frame, rest=lag_s > LAGS_S)

    def is_due(self, *, free_slots: int, wait_s: float) -> bool:
        """Whether the oldest frame has waited long enough, or its slot in memory is needed."""
        if not self.window:
            return False
        span_s = self.window[-1].frame.time_s - self.window[0].frame.time_s
        return free_slots <= 1 or not 0 <= span_s < wait_s

    def settle(self, frame: Frame) -> Frame:
        """A frame that was taken out of the window to be released, with covers, through the rest of the steps."""
        following = [later.frame for later in self.window if not later.failed]
        for name, looking in self._looking_ahead:
            with self._timed(name):
                frame = looking.settle(frame, following)
        for name, operator in self._release:
            frame = self._after(name, operator, frame)
        return frame

    def _after(self, name: str, operator: Operator, before: Frame, *, rest: bool = False) -> Frame:
        """The frame as that step hands it on. Where a detector may leave frames out, only such say that one was
        examined: fixed places are known in every frame, which says nothing of faces."""
        with self._timed(name):
            if rest and name in self._resting:
                frame = self._resting[name].rest(before)
            else:
                (frame,) = operator([before])
        if self._resting and name not in self._resting and frame.examined != before.examined:
            frame = replace(frame, examined=before.examined)
        return frame


def _remembering(steps: NamedSteps) -> Iterator[tuple[str, Remembers]]:
    return ((name, operator) for name, operator in steps if isinstance(operator, Remembers))
