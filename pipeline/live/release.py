"""What happens to a frame when it leaves. Fail closed is decided here, and nowhere else.

A frame is passed on masked only if every step worked on it, a detector has looked at it, and the painter found every
face that is not kept under a cover. Any other is covered whole or withheld, as the policy says; one that cannot be
encoded is withheld whatever the policy says.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from engines import FrameError, StreamError
from operators.paint.cpu import cover_whole, paint, plain
from operators.paint.gate import check_covered
from pipeline.config import OnFailure
from pipeline.live.lookahead import LAGS_S, LookAhead, PendingFrame
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.sealer import Sealer
from pipeline.wire import FATE_COVERED_WHOLE, FATE_MASKED, FATE_WITHHELD, Fate, Head, Seal

NOT_SEALED = "not sealed: "
"""What the reason of a frame begins with that is covered whole and has no seal."""


def fate_of(failure: str, *, live: bool, policy: OnFailure) -> Fate.ValueType:
    """What becomes of a frame on which something failed, or nothing did.

    Args:
        failure: why it could not be examined or covered; empty if it was.
        live: it comes from a camera.
        policy: `auto` covers frames of files whole, so that counts and clocks stay, and withholds those of cameras.

    >>> Fate.Name(fate_of("no detector", live=True, policy="auto"))
    'FATE_WITHHELD'
    """
    if not failure:
        return FATE_MASKED
    withhold = policy == "withhold" or (policy == "auto" and live)
    return FATE_WITHHELD if withhold else FATE_COVERED_WHOLE


def attempt(pending: PendingFrame, work: Callable[[PendingFrame], None]) -> None:
    """Does what may fail on one frame: whatever it raises, the frame is marked, and the stream goes on."""
    try:
        work(pending)
    except FrameError as error:
        pending.failed = str(error)
    except Exception as error:
        pending.failed = f"{type(error).__name__}: {error}"


@dataclass(frozen=True, slots=True)
class Released:
    """What became of a frame.

    Attributes:
        fate: masked, covered whole or withheld.
        cause: of another fate than masked: `late`, `not_examined` or `unencodable`.
        reason: the same in a sentence.
        rejects: cause and reason of each thing that failed on the way.
        seals: of what is hidden in a frame that is shown, where faces are sealed.
    """

    fate: Fate.ValueType
    cause: str = ""
    reason: str = ""
    rejects: tuple[tuple[str, str], ...] = ()
    seals: tuple[Seal, ...] = ()


class Release:
    """Covers frames of one stream and gives them to the encoder.

    Args:
        lookahead: where they waited.
        output: where they go.
        policy: see `fate_of`.
        timed: counts the time within it for a stage of that name.
        sealer: seals what is covered; None seals nothing.
    """

    def __init__(
        self,
        lookahead: LookAhead,
        output: MaskedOutput,
        policy: OnFailure,
        timed: Callable[[str], AbstractContextManager[None]],
        sealer: Sealer | None = None,
    ) -> None:
        self._lookahead, self._output, self._policy, self._timed = lookahead, output, policy, timed
        self._sealer = sealer
        self._seals: tuple[Seal, ...] = ()

    def __call__(self, pending: PendingFrame, head: Head, *, lag_s: float) -> Released:
        """Lets go of the frame that waited longest.

        Args:
            head: of the source.
            lag_s: by how much it is late, beyond what frames are meant to wait.

        Raises:
            StreamError: the encoder failed and took frames with it that count as shown; only a new life of the stream
                brings them back.
        """
        self._seals = ()
        if not pending.failed:
            attempt(pending, lambda frame: self._cover(frame, lag_s=lag_s))
        fate = fate_of(pending.failed, live=head.live, policy=self._policy)
        if fate == FATE_COVERED_WHOLE:
            self._seal_whole(pending)
            cover_whole(pending.frame.picture)
        cause = "late" if pending.late else "not_examined" if pending.failed else ""
        rejects = ((cause, pending.failed),) if cause else ()
        if fate != FATE_WITHHELD:
            try:
                self._output.prepare(head, pending.frame.picture, pending.frame.shown)
            except FrameError as error:
                refused = "unencodable", str(error)
                return Released(FATE_WITHHELD, cause or refused[0], refused[1], (*rejects, refused))
            self._encode(pending, received_us=pending.utc_us if head.live else 0)
        return Released(fate, cause, pending.failed, rejects, self._seals if fate != FATE_WITHHELD else ())

    def _cover(self, pending: PendingFrame, *, lag_s: float) -> None:
        pending.frame = self._lookahead.settle(pending.frame)
        if not pending.frame.examined:
            raise FrameError("no detector has looked at this frame")
        if lag_s > LAGS_S:
            pending.frame = replace(pending.frame, covers=tuple(map(plain, pending.frame.covers)))
        if self._sealer is not None:
            check_covered(pending.frame)  # what the painter would refuse is sealed as a whole
            with self._timed("seal"):  # no mask without its seals: what cannot be sealed is covered whole, or withheld
                self._seals = self._sealer(pending.frame, epoch=self._output.epoch, pts=pending.stamp.pts)
        with self._timed("paint"):
            paint(pending.frame)

    def _seal_whole(self, pending: PendingFrame) -> None:
        """Seals a picture that is going to be covered as a whole. Not if its faces were sealed already: the painter has
        failed among them then, and what it has painted is no original any more."""
        if self._sealer is None or self._seals:
            return
        why, sealer = pending.failed, self._sealer

        def seal(frame: PendingFrame) -> None:
            with self._timed("seal"):
                self._seals = sealer.whole(frame.frame, epoch=self._output.epoch, pts=frame.stamp.pts)

        attempt(pending, seal)
        if not self._seals:  # whatever is wrong with keys, the frame stays covered
            pending.failed = f"{NOT_SEALED}{pending.failed}; {why}"

    def _encode(self, pending: PendingFrame, *, received_us: int) -> None:
        frame = pending.frame
        try:
            with self._timed("encode"):
                stamp = pending.stamp
                self._output.encode(
                    frame.picture, frame.index, stamp.pts, stamp.duration,
                    received_us=received_us, seals=len(self._seals),
                )  # fmt: skip
        except FrameError as error:
            raise StreamError(f"{frame.stream}: the encoder failed: {error}") from error
