"""Two networks for little more than the cost of the quick one: each frame is looked at where its own pixels demand it.

Every frame is compared with what was looked at before (`operators.detect.evidence`). Where nothing has changed, or the
motion of what was there explains it, the faces of before are still there, moved along, and nothing else is. Whatever
else has changed is looked at in this frame, at the picture's own resolution: by YuNet, quick, where things have kept
changing for a while, and by CenterFace, thorough, as well where they have not, and every few frames. What YuNet doubts,
and known faces that changed or moved, are shown to CenterFace in small crops, at a two-hundredth of the cost of a
picture. Where no face stands upright in what has newly come, YuNet looks for faces that lie or hang as well.

So cost follows what happens instead of the clock, and no frame is vouched for because little time went by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engines import ConfigError, Engine
from operators.arrays import Array
from operators.boxes import iou
from operators.detect.evidence import TILE, Change, Evidence, counts_of, samples_of, span, tiles_of
from operators.detect.finders import CenterFaceFinder, InputSide, YuNetFinder
from operators.detect.pair import LIT, SAME, AskedRegion, NetworkPair, same_face
from operators.detect.regions import Region, regions_of
from operators.frame import Faces, Frame
from operators.options import DetectionScore, Milliseconds, UnitInterval

CUT = 0.6
"""From this part of its tiles on that have changed, a picture shows something else."""
RETURN_FRAMES = 12
"""So many frames after a cut, a picture may come back as it was before: an effect, a flash, a frame of something
else."""
EXPLAINED, EXPLAINED_PX = 0.25, 32
"""What changes within this part of its size around a face, and so many pixels, is the face."""
LABELS = (1 << 16) - 1
"""So many faces can be told apart at once."""
LEFT = 0.25
"""Of a face's box so many samples at least are its own as long as it is whole; BORDER leaves half."""
STIRRED, SHIFTED = 0.2, 0.35
"""A known face is looked at again when so much of its box has changed, or it has moved by this part of its size."""
RETRY_S, RETRY_FRAMES = 1.0, 3
"""So long a face that is not found again is looked for, every so many frames while it changes."""
PERIODS = {"fine": 3, "thorough": 32, "turned": 96}
"""What keeps changing is looked at in full resolution every so many frames, by the thorough network, and for faces that
do not stand upright. In between, the quick network sees it at half of that: a small face that comes there is found at
most two frames late, while those wait in the look-ahead."""
QUIET_FRAMES = {"fine": 12, "thorough": 25, "turned": 50}
"""A tile in which nothing has changed for longer does not keep changing."""
SIZEABLE_PX = 28
"""What has newly changed in less than this squared is looked at by the quick network alone."""
SETTLED_FRAMES = 5
"""A tile that has not changed for so many frames has come to rest."""
REFUTED_FRAMES = 12
"""So long it is remembered what was no face."""
ROUNDING_S = 0.002
"""A frame is examined by this much early, for clocks that are rounded."""
NEVER = -(1 << 40)
"""The index of a frame before all others."""
NAMES = 20
"""Faces are numbered from the frame's index, shifted by so many bits."""
UNKNOWN = 0.01
"""The score of what was not looked at."""
WEAK, CONFIRMED = 0.3, 3
"""A face of a lower score is looked at again in the frames to come until it was found so many times."""


Demands = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""What demands a look: samples that changed, or have come to rest; and tiles that have, without a thorough look."""


@dataclass(frozen=True, slots=True, eq=False)
class _BeforeCut:
    """What was there before the last cut."""

    index: int
    plane: NDArray[np.float32]
    known: Faces


@dataclass(slots=True, eq=False)
class _CascadeState:
    """What is remembered of one stream. Faces known carry in `data`, `(n,)` each: `turn`, as `NetworkPair` has it;
    `best`, the best score; `looked_s` and `looked_at`, when and in which frame they were looked at last; `missed_s`,
    when they were first not found, NaN if they are there; `looks`, how often they were found; and `shift` `(n, 2)`, how
    far they moved since."""

    time_s: float
    size: tuple[int, int]
    geometry: tuple[object, ...]  # how its pictures are turned and stretched
    evidence: Evidence
    known: Faces
    seen_at: dict[str, NDArray[np.int64]]  # for each way of `PERIODS` and tile, in which frame it was last seen so
    refuted: Faces = field(default_factory=lambda: _refuted(Faces.of(), 0))
    changed_at: NDArray[np.int64] = field(init=False)  # for each tile, in which frame something of it was unexplained
    before_cut: _BeforeCut | None = None
    labelled: int = 0  # the last label given
    rested: bool = False  # the frame before was not looked at
    named: int = 0  # the last `who`

    def __post_init__(self) -> None:
        self.changed_at = np.full_like(self.seen_at["fine"], NEVER)

    def goes_on(self, frame: Frame) -> bool:
        """The frame is a later one, of the same shape: the same pixels shown in another one are other faces."""
        return self.size == _size(frame) and self.geometry == frame.shown.geometry and frame.time_s >= self.time_s

    def note_changed(self, tiles: NDArray[np.bool_], index: int) -> None:
        """Something of these tiles is unexplained in this frame. Where nothing was for a while, no look counts."""
        for way, seen_at in self.seen_at.items():
            seen_at[tiles & (index - self.changed_at > QUIET_FRAMES[way])] = NEVER
        self.changed_at[tiles] = index

    def note_looked(self, asked: AskedRegion, index: int) -> None:
        """A region was looked at."""
        x1, y1, x2, y2 = asked.region
        window = span(y1, y2, self.evidence.scale * TILE), span(x1, x2, self.evidence.scale * TILE)
        for way, now in (("fine", asked.fine), ("thorough", asked.thoroughly), ("turned", asked.turning)):
            if now:
                self.seen_at[way][window] = index
        self.evidence.looked_at(*asked.region)

    def note_lost(self, lost: Faces, dropped: Faces, unexplained: NDArray[np.bool_]) -> None:
        """Faces are not found any more in crops: they are looked for where they were, in the way in which they were
        found, whenever that was seen last.

        Args:
            dropped: what was weakly like an upright face, and may be one that lies.
            unexplained: gets where they were.
        """
        scale = self.evidence.scale
        lay = np.concatenate([lost.data["turn"] != 0, np.ones(len(dropped), np.bool_)])
        for (x1, y1, x2, y2), turned in zip((lost + dropped).boxes.tolist(), lay.tolist(), strict=True):
            unexplained[span(y1, y2, scale), span(x1, x2, scale)] = True
            for way in ("thorough", "turned") if turned else ("thorough",):
                self.seen_at[way][span(y1, y2, scale * TILE), span(x1, x2, scale * TILE)] = NEVER

    def settled(self, index: int) -> NDArray[np.bool_]:
        """Tiles that have come to rest, and that the thorough network has not seen since they last changed: what came
        there slowly, or is small, was shown to the quick one alone."""
        rests = (self.changed_at > NEVER) & (index - self.changed_at >= SETTLED_FRAMES)
        return np.asarray(rests & (self.seen_at["thorough"] < self.changed_at))


class Cascade:
    """Adds the faces of each frame, and marks it as examined. Faces of looks before, whose pixels say that they are
    still there, are `seen` false.

    Nothing of it is stored with a stream's state: who takes a stream over begins with a thorough look.

    Args:
        thorough: as `detect.centerface` takes it.
        quick: as `detect.yunet` takes it.
        refresh_ms: how often a known face is looked at again even if nothing of it has changed.
        pace_ms: frames that follow sooner after the one examined last are not examined, for screening, which needs an
            even pace. A run covers them whole.
        max_px: the longer side of the picture that networks see, at most; of strips, as of 2.4 : 1 of their area.
        threshold: the lowest score of a face for the thorough one.
        sure: the score from which on the quick one is believed.
        weak: the score from which on it is looked at closely what it reports.
        turned: look for faces that lie or hang, too, where something new shows no upright one.

    Raises:
        ConfigError: `weak` is above `sure`.
    """

    def __init__(
        self,
        thorough: Engine,
        quick: Engine,
        *,
        refresh_ms: Milliseconds = 1000.0,
        pace_ms: Milliseconds = 0.0,
        max_px: InputSide = 1920,
        threshold: DetectionScore = 0.2,
        sure: UnitInterval = 0.8,
        weak: DetectionScore = 0.12,
        turned: bool = True,
    ) -> None:
        self.check_options(sure=sure, weak=weak)
        finder = CenterFaceFinder(thorough, threshold=threshold, max_px=max_px, min_px=min(800, max_px))
        self._pair = NetworkPair(finder, YuNetFinder(quick, threshold=weak), sure, turned)
        self._refresh_s, self._pace_s = refresh_ms / 1000, pace_ms / 1000 - ROUNDING_S
        self._streams: dict[str, _CascadeState] = {}

    @staticmethod
    def check_options(*, sure: float, weak: float, **_: object) -> None:
        if weak > sure:
            raise ConfigError(f"detect.cascade: weak: expected at most sure, which is {sure:g}, got {weak:g}")

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._attend(frame) for frame in frames]

    def _attend(self, frame: Frame) -> Frame:
        state = self._streams.get(frame.stream)
        if state is None or not state.goes_on(frame):
            return self._begin(frame)
        if frame.time_s - state.time_s < self._pace_s:
            return frame
        state.time_s, plane = frame.time_s, state.evidence.plane
        change = state.evidence.compare(frame.picture)
        if change.share >= CUT:
            return self._over_cut(frame, state, plane, change)
        state.rested = False
        state.known, dropped = self._look_again(frame, _carried(state.known, change, state.evidence), change)
        unexplained = _unexplained(change, state.evidence.labels, state.known)
        state.note_changed(tiles_of(unexplained), frame.index)
        state.note_lost(state.known[state.known.data["missed_s"] == frame.time_s], dropped, unexplained)
        demands = unexplained | samples_of(settled := state.settled(frame.index), unexplained.shape), settled
        self._look_at(frame, state, regions_of(demands[0], change.scale, state.size), change.light, demands)
        return self._done(frame, state, change)

    def _begin(self, frame: Frame) -> Frame:
        evidence = Evidence(frame.picture)
        tiles = tiles_of(np.zeros(evidence.plane.shape, np.bool_))
        known, never = _known(Faces.of(), frame), _never(tiles.shape)
        state = _CascadeState(frame.time_s, _size(frame), frame.shown.geometry, evidence, known, never)
        state.named = (frame.index + 1) << NAMES  # no number of another life of the stream
        self._streams[frame.stream] = state
        light = np.maximum(evidence.plane - frame.picture.black, 0)
        self._look_at(frame, state, [(0, 0, *state.size)], light)
        return self._done(frame, state, None)

    def _over_cut(self, frame: Frame, state: _CascadeState, plane: NDArray[np.float32], change: Change) -> Frame:
        """All of the picture is looked at. Where it is again as before a cut, those of then are looked for, too."""
        before, returned, rested = state.before_cut, False, state.rested
        state.rested = False
        if before is not None and frame.index - before.index <= RETURN_FRAMES:
            returned = state.evidence.differs_from(before.plane, change.light) < CUT
        if returned and before is not None:
            (state.known, _), state.before_cut = self._look_again(frame, before.known, None), None
        else:
            state.before_cut = _BeforeCut(frame.index, plane, state.known)
            state.known = state.known[:0]
        turned_at = state.seen_at["turned"]
        state.seen_at = _never(turned_at.shape)
        if frame.index - turned_at.max() < PERIODS["turned"]:  # not at every cut of a quick montage
            state.seen_at["turned"] = turned_at
        state.refuted = state.refuted[:0]
        self._look_at(frame, state, [(0, 0, *state.size)], change.light)
        # A cut that lies somewhere in what was not looked at: tracks go over it, and hide too much.
        return replace(self._done(frame, state, change), cut=not (returned or rested))

    def _look_at(
        self,
        frame: Frame,
        state: _CascadeState,
        regions: Sequence[Region],
        light: NDArray[np.float32],
        demands: Demands | None = None,
    ) -> None:
        """Looks for faces in regions: thoroughly, unless all that demands it there was seen so a few frames ago."""
        if not regions:
            return
        asked = [_asked(frame, state, region, light, demands) for region in regions]
        found, wrong = self._pair.look(frame, asked, state.refuted)
        state.known = _joined(state.known, _known(found, frame))
        state.refuted += _refuted(wrong, frame.index)
        for each in asked:
            state.note_looked(each, frame.index)

    def _look_again(self, frame: Frame, known: Faces, change: Change | None) -> tuple[Faces, Faces]:
        """Known faces, those found again that had to be looked at: what changed, moved, is doubtful, or missing. And
        those that were too weak to be believed without being found again."""
        rows = np.flatnonzero(np.ones(len(known), np.bool_) if change is None else self._is_due(frame, known, change))
        if not len(rows):
            return known, known[:0]
        lights = [LIT if change is None else _brightness(change.light, box, change.scale) for box in known.boxes[rows]]
        looked = self._pair.closely(frame, known.boxes[rows], known.data["turn"][rows], lights)
        stirred = np.ones(len(known), np.bool_) if change is None else _stirred(known, change)
        kept, again, weak = np.ones(len(known), np.bool_), [], []
        for row, face in zip(rows.tolist(), looked, strict=True):
            if face is not None:
                again.append(_found_again(face, known[row], frame))
                kept[row] = False
            elif known.data["best"][row] < WEAK and known.data["looks"][row] < CONFIRMED:
                kept[row] = False
                weak.append(row)
            else:
                known.data["looked_s"][row] = frame.time_s
                if stirred[row] and np.isnan(known.data["missed_s"][row]):
                    known.data["missed_s"][row] = frame.time_s
                    known.data["looked_at"][row] = frame.index
        known, dropped = known[kept], known[weak]
        for face in sorted(again, key=lambda face: -float(face.scores[0])):
            if not (same_face(known.boxes, face.boxes)[:, 0] & (known.data["looked_at"] == frame.index)).any():
                known += face
        return known, dropped

    def _is_due(self, frame: Frame, known: Faces, change: Change) -> NDArray[np.bool_]:
        data = known.data
        since = frame.index - data["looked_at"]
        doubtful = (data["best"] < WEAK) & (data["looks"] < CONFIRMED) & (since > 1)
        old = frame.time_s - data["looked_s"] >= self._refresh_s - ROUNDING_S
        there = _is_there(known)
        lost = ~there & (since % RETRY_FRAMES == 0) & (_changed_part(known, change) > 0)
        return np.asarray((_stirred(known, change) & there) | old | doubtful | lost)

    def _done(self, frame: Frame, state: _CascadeState, change: Change | None) -> Frame:
        """The frame with the faces that are there."""
        known = state.known
        now = known.data["looked_at"] == frame.index
        there = _is_there(known)
        unnamed = known.data["who"] == 0
        known.data["who"][unnamed] = np.arange(state.named + 1, state.named + 1 + np.count_nonzero(unnamed))
        state.named += int(np.count_nonzero(unnamed))
        sudden = np.zeros(len(known), np.float32)
        for row in np.flatnonzero(now & there).tolist():
            sudden[row] = change is not None and state.evidence.is_sudden(change, known.boxes[row])
        for row, box in zip(np.flatnonzero(now & there).tolist(), _inflated(known.boxes[now & there]), strict=True):
            state.labelled = state.labelled % LABELS + 1
            known.data["number"][row] = state.labelled
            state.evidence.looked_at(*box.tolist())
            state.evidence.label(known.boxes[row], state.labelled)
        state.refuted = state.refuted[state.refuted.data["at"] > frame.index - REFUTED_FRAMES]
        state.known = known[~(frame.time_s - known.data["missed_s"] > RETRY_S)]
        faces = replace(known, seen=now, data={"sudden": sudden, "who": known.data["who"]})[there]
        return replace(frame, faces=frame.faces + faces, examined=True)

    def rest(self, frame: Frame) -> Frame:
        """The frame without a look, for a stream that lags: where it has changed, everything counts as a face."""
        state = self._streams.get(frame.stream)
        if state is None or not state.goes_on(frame):
            return self._begin(frame)
        state.time_s = frame.time_s
        change = state.evidence.compare(frame.picture)
        state.rested = True
        state.known = _carried(state.known, change, state.evidence)
        there = state.known[_is_there(state.known)]
        regions = regions_of(_unexplained(change, state.evidence.labels, state.known), change.scale, state.size)
        covered = Faces.of(regions, np.full(len(regions), UNKNOWN), seen=np.zeros(len(regions)))
        faces = replace(there, seen=np.zeros(len(there), np.bool_), data={"who": there.data["who"]})
        return replace(frame, faces=frame.faces + faces + covered, examined=True)

    def snapshot(self, stream: str) -> bytes:  # noqa: ARG002 - nothing is stored
        return b""

    def restore(self, stream: str, state: bytes) -> None:  # noqa: ARG002
        self.forget(stream)

    def forget(self, stream: str) -> None:
        self._streams.pop(stream, None)


def _size(frame: Frame) -> tuple[int, int]:
    return frame.picture.width, frame.picture.height


def _asked(
    frame: Frame,
    state: _CascadeState,
    region: Region,
    light: NDArray[np.float32],
    demands: Demands | None,
) -> AskedRegion:
    x1, y1, x2, y2 = region
    scale = state.evidence.scale
    window = span(y1, y2, scale * TILE), span(x1, x2, scale * TILE)
    counts = np.full(state.changed_at.shape, TILE**2) if demands is None else counts_of(demands[0])
    # Of how much that changed it is too long ago, in pixels.
    due = {
        way: scale**2 * counts[window][state.seen_at[way][window] <= frame.index - period].sum()
        for way, period in PERIODS.items()
    }
    thoroughly, turning = (bool(due[way] >= SIZEABLE_PX**2) for way in ("thorough", "turned"))
    thoroughly |= demands is not None and bool(demands[1][window].any())
    fine = bool(due["fine"] > 0) or thoroughly or turning
    return AskedRegion(region, _brightness(light, region, scale), fine, thoroughly or turning, turning)


def _refuted(wrong: Faces, index: int) -> Faces:
    """What was no face in the frame of that index."""
    return replace(wrong, data={"at": np.full(len(wrong), index)})


def _never(shape: tuple[int, ...]) -> dict[str, NDArray[np.int64]]:
    return {way: np.full(shape, NEVER) for way in PERIODS}


def _known(found: Faces, frame: Frame) -> Faces:
    """Faces found in this frame, as they are remembered."""
    n = len(found)
    return found.with_data(
        turn=np.asarray(found.data.get("turn", np.zeros(n)), np.int64),
        best=found.scores.copy(),
        looks=np.ones(n, np.int64),
        looked_s=np.full(n, frame.time_s),
        looked_at=np.full(n, frame.index),
        missed_s=np.full(n, np.nan),
        shift=np.zeros((n, 2), np.float32),
        whole=np.ones(n, np.int64),
        number=np.zeros(n, np.int64),
        who=np.zeros(n, np.int64),
    )


def _found_again(face: Faces, before: Faces, frame: Frame) -> Faces:
    """One face, as it is remembered when it was found where it had been before."""
    known = _known(face, frame)
    best = np.maximum(before.data["best"], face.scores)
    return known.with_data(looks=before.data["looks"] + 1, best=best, who=before.data["who"])


def _joined(known: Faces, found: Faces) -> Faces:
    """Known faces, and those found; a face that was known already is where it was found."""
    for row in range(len(found)):
        face = found[row]
        same = same_face(known.boxes, face.boxes)[:, 0]
        now = known.data["looked_at"] == face.data["looked_at"][0]
        if (same & now & _is_there(known)).any():
            continue
        overlap = iou(known.boxes, face.boxes)[:, 0] >= SAME
        if overlap.any():
            first = known[int(np.flatnonzero(overlap)[0])]
            face = face.with_data(
                best=np.maximum(face.data["best"], first.data["best"]),
                looks=face.data["looks"] + first.data["looks"],
                who=first.data["who"],
            )
        known = known[~overlap] + face
    return known


def _is_there(known: Faces) -> NDArray[np.bool_]:
    return np.isnan(known.data["missed_s"])


def _carried(known: Faces, change: Change, evidence: Evidence) -> Faces:
    """Known faces where the picture has carried them since the frame before. Of those of which little is left, `whole`
    is 0."""
    moved, whole = np.zeros((len(known), 2), np.float32), known.data["whole"].copy()
    for row in np.flatnonzero(_is_there(known)).tolist():
        moved[row], samples = evidence.followed(known.boxes[row], int(known.data["number"][row]), change)
        width, height = (known.boxes[row, 2:] - known.boxes[row, :2]) / change.scale
        whole[row] = samples >= LEFT * width * height
    return replace(
        known.with_data(shift=known.data["shift"] + moved, whole=whole),
        boxes=known.boxes + np.tile(moved, 2),
        landmarks=known.landmarks + moved[:, None],
    )


def _stirred(known: Faces, change: Change) -> NDArray[np.bool_]:
    """Which faces have changed or moved since they were looked at: `(n,)`."""
    size = (known.boxes[:, 2:] - known.boxes[:, :2]).max(axis=1, initial=0)
    moved = np.abs(known.data["shift"]).max(axis=1, initial=0) >= SHIFTED * np.maximum(size, 1)
    return np.asarray((known.data["whole"] == 0) | (_changed_part(known, change) >= STIRRED) | moved)


def _changed_part(known: Faces, change: Change) -> NDArray[np.float64]:
    """What part of each face's box is not explained: `(n,)`."""
    part = np.zeros(len(known))
    for row, (x1, y1, x2, y2) in enumerate(known.boxes.tolist()):
        within = change.changed[span(y1, y2, change.scale), span(x1, x2, change.scale)]
        part[row] = within.mean() if within.size else 0
    return part


def _unexplained(change: Change, labels: NDArray[np.uint16], known: Faces) -> NDArray[np.bool_]:
    """The samples that changed, and those of faces, but for what lies where known faces are."""
    left = change.changed | (labels > 0)
    for x1, y1, x2, y2 in _inflated(known.boxes[_is_there(known)]).tolist():
        left[span(y1, y2, change.scale), span(x1, x2, change.scale)] = False
    return left


def _inflated(boxes: Array) -> Array:
    out = np.minimum(EXPLAINED * (boxes[:, 2:] - boxes[:, :2]), EXPLAINED_PX)
    return np.asarray(np.concatenate([boxes[:, :2] - out, boxes[:, 2:] + out], axis=1))


def _brightness(light: NDArray[np.float32], box: Sequence[float] | Array, scale: int) -> float:
    """The mean light in a box that lies in pixels of the picture."""
    x1, y1, x2, y2 = (float(side) for side in box)
    within = light[span(y1, y2, scale), span(x1, x2, scale)]
    return float(within.mean()) if within.size else LIT


OPERATOR = Cascade
