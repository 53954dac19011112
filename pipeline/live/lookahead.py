"""The operators of a run on the frames of one stream: when detectors look, what is looked ahead at, and which frames
a look vouches for.

A look at a later frame says nothing of a face that appeared and went in between. So detectors are made to look while
the frames since their last look are still in the look-ahead, whether they rest, have periods, or slots are few.
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
"""When a live stream lags its camera by this much, it is looked at less often and covered plainly; and frames that
lag by this much are withheld."""
ROUNDING_S = 0.002
TAIL_S = 0.25
"""How long after the last look of a scene or stream, after which none comes, tracks alone vouch for frames."""

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
        unseen: frames since the last look.
    """

    def __init__(
        self, stream: str, operators: Mapping[str, Operator], timed: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self.window: deque[PendingFrame] = deque()
        self.stream, self._timed = stream, timed
        last_ahead = max((i for i, op in enumerate(operators.values()) if isinstance(op, LooksAhead)), default=-1)
        self._arrival = list(operators.items())[: last_ahead + 1]
        self._release = list(operators.items())[last_ahead + 1 :]
        self._looking_ahead = [(name, op) for name, op in self._arrival if isinstance(op, LooksAhead)]
        self._resting = {name: op for name, op in self._arrival if isinstance(op, MayRest)}
        self.begin_epoch()

    # -- what operators remember -------------------------------------------------------------------

    def begin(self, stored: Mapping[str, bytes]) -> None:
        """Gives operators what was stored of the stream, and nothing else to remember of it."""
        for name, operator in _remembering([*self._arrival, *self._release]):
            operator.forget(self.stream)
            if name in stored:
                operator.restore(self.stream, stored[name])

    def begin_epoch(self) -> None:
        """No look before it counts in a new epoch."""
        self._examined_s: float | None = None
        self._looked_s: float | None = None
        self.unseen, self._rested = 0, False  # whether detectors were not even asked

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

    def look(self, pending: PendingFrame, *, lag_s: float, slots: int, wait_s: float) -> None:
        """Takes a frame that has arrived through the steps up to the last one that looks ahead.

        Args:
            lag_s: by how much the stream lags its camera.
            slots: how many frames since the last look fit into memory.
            wait_s: how long frames wait in the look-ahead.
        """
        must = self._must_look(pending.frame, lag_s, slots, wait_s)
        rest = not must and lag_s > LAGS_S
        looked = not self._resting
        self.unseen, self._rested = self.unseen + 1, self._rested or rest
        for name, operator in self._arrival:
            before = pending.frame
            if name not in self._resting:
                with self._timed(name):
                    (pending.frame,) = operator([before])
                if self._resting and not looked:
                    # Fixed zones are known in every frame: that says nothing of faces.
                    pending.frame = replace(pending.frame, examined=before.examined)
            elif not rest:
                pending.frame = self._ask(before, name, must=must)
                looked |= pending.frame is not before
        if looked:
            self._looked_s, self.unseen, self._rested = pending.frame.time_s, 0, False

    def _ask(self, before: Frame, name: str, *, must: bool) -> Frame:
        """The frame as a detector that has periods of its own hands it on: the same object if it has not looked."""
        detector = self._resting[name]
        with self._timed(name):
            if must:
                detector.look_next(self.stream)
            (frame,) = detector([before])
        if self._rested and frame.cut:
            # The cut lies somewhere in what was not looked at: tracks go over it, and hide too much.
            frame = replace(frame, cut=False)
        return frame

    def _must_look(self, frame: Frame, lag_s: float, slots: int, wait_s: float) -> bool:
        if self._looked_s is None:
            return True
        in_time = 0 <= frame.time_s - self._looked_s < wait_s - ROUNDING_S
        return lag_s > LATE_S or self.unseen >= slots or not in_time

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
            with self._timed(name):
                (frame,) = operator([frame])
        return frame

    def vouches_for(self, frame: Frame, *, last: bool) -> bool:
        """A detector has looked at the frame, or at a later one of the same scene, from which tracks reach back.

        Args:
            last: no frames will come after those that wait.
        """
        if frame.examined:
            self._examined_s = frame.time_s
            return True
        for later in self.window:
            if later.opens_epoch or later.frame.cut:
                break
            if later.frame.examined and not later.failed:
                return bool(self._looking_ahead)
        else:
            if not last:
                return False
        recent = self._examined_s is not None and 0 <= frame.time_s - self._examined_s <= TAIL_S
        return recent and bool(self._looking_ahead)


def _remembering(steps: NamedSteps) -> Iterator[tuple[str, Remembers]]:
    return ((name, operator) for name, operator in steps if isinstance(operator, Remembers))
