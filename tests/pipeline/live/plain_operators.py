"""Operators without networks, one for each protocol of `operators`, and frames that wait for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from operators import Operator
from operators.frame import Cover, Faces, Frame, Verdict
from pipeline.live.lookahead import LookAhead, PendingFrame
from pipeline.media.clock import FrameStamp
from tests.pipeline.media.scripted_decoder import TICK, picture

STREAM = "clip"
FACE = (8.0, 8.0, 24.0, 24.0)
DOUBTFUL = (0.0, 0.0, 32.0, 32.0)


class Detector:
    """Finds one face in each frame, and never rests.

    Args:
        blind: frames that it leaves as they are.

    Attributes:
        looked: indices of the frames it looked at.
    """

    def __init__(self, *, blind: Collection[int] = ()) -> None:
        self.looked: list[int] = []
        self._blind = blind

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [frame if frame.index in self._blind else self._look(frame) for frame in frames]

    def _look(self, frame: Frame) -> Frame:
        self.looked.append(frame.index)
        return replace(frame, faces=frame.faces + Faces.of([FACE], tracks=[1]), examined=True)


class Resting(Detector):
    """One that may rest: it then takes more than the face for one.

    Attributes:
        rested: indices of the frames for which it did.
    """

    def __init__(self, *, blind: Collection[int] = ()) -> None:
        super().__init__(blind=blind)
        self.rested: list[int] = []

    def rest(self, frame: Frame) -> Frame:
        self.rested.append(frame.index)
        return replace(frame, faces=frame.faces + Faces.of([DOUBTFUL], seen=[False]), examined=True)


class FixedPlace:
    """Knows one place in every frame."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        self.asked += [frame.index for frame in frames]
        return [replace(frame, faces=frame.faces + Faces.of([(32, 32, 48, 40)]), examined=True) for frame in frames]


class Hindsight:
    """Looks ahead, and changes nothing.

    Attributes:
        ahead: by the index of each settled frame: those that followed it.
    """

    def __init__(self) -> None:
        self.ahead: dict[int, list[int]] = {}

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return list(frames)

    def settle(self, frame: Frame, ahead: Sequence[Frame]) -> Frame:
        self.ahead[frame.index] = [following.index for following in ahead]
        return frame


class CoverFaces:
    """Covers each face; what `cover` says of it but for its box."""

    def __init__(self, cover: Cover | None = None) -> None:
        self._cover = cover or Cover(FACE, style="solid", shape="box")

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._covered(frame) for frame in frames]

    def _covered(self, frame: Frame) -> Frame:
        boxes = ((x1, y1, x2, y2) for x1, y1, x2, y2 in frame.faces.boxes.tolist())
        return replace(frame, covers=tuple(replace(self._cover, box=box) for box in boxes))


class FrameCount:
    """Remembers how many frames of a stream it has seen, and concludes with it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        self.counts.update(frame.stream for frame in frames)
        return list(frames)

    def snapshot(self, stream: str) -> bytes:
        return b"%d" % self.counts[stream]

    def restore(self, stream: str, state: bytes) -> None:
        self.counts[stream] += int(state)

    def forget(self, stream: str) -> None:
        self.counts.pop(stream, None)

    def verdicts(self, stream: str) -> list[Verdict]:
        return [Verdict(stream, "frames", float(self.counts[stream]))]


class CountAhead(FrameCount, Hindsight):
    """Does both: looks ahead, and remembers."""

    def __init__(self) -> None:
        FrameCount.__init__(self)
        Hindsight.__init__(self)


class Broken:
    """Fails on some frames.

    Args:
        indices: of these frames; None is all.
    """

    def __init__(self, error: Exception, indices: Collection[int] | None = None) -> None:
        self._error, self._indices = error, indices

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        if any(self._indices is None or frame.index in self._indices for frame in frames):
            raise self._error
        return list(frames)


class Stopwatch:
    """Stands for what counts the time of stages: it counts how often each was entered."""

    def __init__(self) -> None:
        self.entered: defaultdict[str, int] = defaultdict(int)

    def __call__(self, stage: str) -> AbstractContextManager[None]:
        self.entered[stage] += 1
        return nullcontext()


def lookahead(**operators: Operator) -> LookAhead:
    """Of these steps, in order."""
    return LookAhead(STREAM, operators, lambda _: nullcontext())


def pending(
    index: int,
    *,
    at_s: float | None = None,
    size: tuple[int, int] = (64, 48),
    examined: bool = False,
    cut: bool = False,
    failed: str = "",
    late: bool = False,
    opens_epoch: bool = False,
) -> PendingFrame:
    """A frame of a source with 25 pictures a second and one packet for each, as it comes from the decoder."""
    shown_s = index * TICK / 1000 if at_s is None else at_s
    frame = Frame(STREAM, index, shown_s, picture(index, *size), examined=examined, cut=cut)
    stamp = FrameStamp(index * TICK, TICK)
    return PendingFrame(frame, stamp, index, index, index + 1, failed, late, opens_epoch=opens_epoch)
