"""What is noted of the faces in a video while it is looked at, in memory that does not grow with its length.

Scores and angles become series of a few hundred points, pictures an album of a few, and of many tracks those are kept
that matter most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from operators import crops
from operators.arrays import Array
from operators.deepfake import quality
from operators.deepfake.scores import suspicion
from operators.frame import Frame, Verdict
from operators.upright import boxes_to_upright, crop_view, upright_bgr
from pipeline.live.frame_report import FORGED

POINTS, SHOTS, TRACKS = 400, 6, 24
CROP_PX = 160
OTHERS = 0
"""Instead of the number of a track that was left out: those of others begin at 1."""
BOX_MARGIN = 1.3
"""Of a crop around a box, where there is no mesh: so that it shows about as much."""
GAZE = ("right_pitch", "right_yaw", "left_pitch", "left_yaw", "vergence", "eyes_agree")


class Series:
    """Numbers over time, at most so many rows: where there were more, they are means over equal numbers of them.

    Args:
        columns: how many numbers come at each time; NaN counts for nothing.
        most: rows, an even number.
    """

    def __init__(self, columns: int, most: int = POINTS) -> None:
        self._sums, self._counts = np.zeros((2, most, columns + 1))
        self._each, self._added = 1, 0

    def add(self, time_s: float, values: Sequence[float] | Array) -> None:
        row = np.array([time_s, *values], np.float64)
        if self._added == self._each * len(self._sums):
            self._halve()
        slot = self._added // self._each
        self._sums[slot] += np.nan_to_num(row)
        self._counts[slot] += np.isfinite(row)
        self._added += 1

    def rows(self) -> NDArray[np.float64]:
        """`(n, 1 + columns)`: the mean time, then the means; NaN where there was none."""
        used = -(-self._added // self._each)
        with np.errstate(invalid="ignore"):
            return np.asarray(self._sums[:used] / self._counts[:used])

    def _halve(self) -> None:
        self._each *= 2
        for array in (self._sums, self._counts):
            half = len(array) // 2
            array[:half] = array[0::2] + array[1::2]
            array[half:] = 0


@dataclass(frozen=True, eq=False, slots=True)
class Shot:
    """A face at a moment.

    Attributes:
        rgb: `(s, s, 3)` uint8.
        evidence: `(h, w)`, what spoke for a forgery where, 0 or more; None where no detector gave any.
        rank: the higher, the better to look at.
    """

    time_s: float
    rgb: NDArray[np.uint8]
    evidence: Array | None
    rank: tuple[bool, float]


class Album:
    """The best shots of a track, of equal parts of its time, at most so many."""

    def __init__(self, most: int = SHOTS) -> None:
        self._most, self._each, self._added = most, 1, 0
        self._best: list[Shot] = []

    def add(self, shot: Shot) -> None:
        if self._added == self._each * self._most:
            self._each *= 2
            pairs = zip(self._best[0::2], self._best[1::2], strict=True)
            self._best = [max(pair, key=_rank) for pair in pairs]
        slot = self._added // self._each
        self._best[slot:] = [max([*self._best[slot:], shot], key=_rank)]
        self._added += 1

    def __iter__(self) -> Iterator[Shot]:
        return iter(self._best)


def _rank(shot: Shot) -> tuple[bool, float]:
    return shot.rank


@dataclass(slots=True)
class TrackNotes:
    """One face over time.

    Attributes:
        seen: in how many frames a detector saw it.
        scored: in how many each system gave a score.
        scores: of each system, `Series` of one column.
        gaze: `Series` of the columns GAZE; None where nothing measures it.
        verdicts: the latest of each system.
    """

    number: int
    from_s: float
    to_s: float = 0.0
    met_at: int = 0
    seen: int = 0
    face_px: int = 0
    scored: Counter[str] = field(default_factory=Counter)
    scores: dict[str, Series] = field(default_factory=dict)
    gaze: Series | None = None
    album: Album = field(default_factory=Album)
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    @property
    def weight(self) -> tuple[tuple[int, float], int]:
        """Which of two tracks matters more: the more suspicious one, then that seen for longer."""
        return max(map(suspicion, self.verdicts.values()), default=(0, 0.0)), self.seen

    def add(self, frame: Frame, row: int, shot: Shot) -> None:
        faces = frame.faces
        box = faces.boxes[row]
        self.to_s, self.met_at, self.seen = frame.source_s, frame.index, self.seen + 1
        self.face_px = max(self.face_px, int(min(box[2] - box[0], box[3] - box[1])))
        self.album.add(shot)
        for name, values in faces.data.items():
            if name.startswith(FORGED) and np.isfinite(values[row]):
                system = name.removeprefix(FORGED)
                self.scored[system] += 1
                self.scores.setdefault(system, Series(1)).add(frame.source_s, [values[row]])
        if "gaze" in faces.data:
            self.gaze = self.gaze or Series(len(GAZE))
            measured = (faces.data[name][row] for name in ("vergence", "eyes_agree"))
            self.gaze.add(frame.source_s, [*faces.data["gaze"][row].ravel(), *measured])


class Notes:
    """All tracks of one video.

    Args:
        margin: how much larger than the mesh's box the crops are that detectors see: evidence lies on these.
        most: tracks that are kept when many more have come.

    Attributes:
        tracks: by their numbers.
        left_out: of the tracks that were not kept, the verdicts of each system, alike ones counted.
        faces: how many were seen, summed over frames.
    """

    def __init__(self, *, margin: float = 1.1, most: int = TRACKS) -> None:
        self._margin, self._most = margin, most
        self.tracks: dict[int, TrackNotes] = {}
        self.left_out: dict[str, Counter[Verdict]] = {}
        self.dropped = self.faces = 0

    def add(self, frame: Frame) -> None:
        """Takes in a frame that went through all steps."""
        rows = np.flatnonzero(frame.faces.seen & (frame.faces.tracks >= 0)).tolist()
        self.faces += len(rows)
        for row in rows:
            number = int(frame.faces.tracks[row])
            track = self.tracks.setdefault(number, TrackNotes(number, frame.source_s))
            track.add(frame, row, self._shot(frame, row))

    def hear(self, system: str, verdicts: Iterable[Verdict]) -> None:
        """Takes in what a system says of tracks by now."""
        for verdict in verdicts:
            track = self.tracks.get(int(verdict.subject.rsplit("/", 1)[1]))
            if track is not None:
                track.verdicts[system] = verdict

    def thin(self, ended_before: int) -> None:
        """Lets go of tracks that ended before that frame and matter less, if there are too many."""
        ended = [track for track in self.tracks.values() if track.met_at < ended_before]
        for track in sorted(ended, key=lambda track: track.weight)[: max(0, len(self.tracks) - self._most)]:
            del self.tracks[track.number]
            self.dropped += 1
            for system, verdict in track.verdicts.items():
                self.left_out.setdefault(system, Counter())[_alike(verdict)] += 1

    def said(self, system: str) -> list[Verdict]:
        """All that a system has said last of each track, alike ones of those left out once."""
        kept = [track.verdicts[system] for track in self.tracks.values() if system in track.verdicts]
        return [*kept, *self.left_out.get(system, ())]

    def _shot(self, frame: Frame, row: int) -> Shot:
        data, box = frame.faces.data, frame.faces.boxes[row]
        mesh = data.get("mesh")
        if mesh is not None and np.isfinite(mesh[row]).all():
            image, meshes = crop_view(frame, mesh[row : row + 1])
            affine = crops.squares(meshes, CROP_PX, margin=self._margin)
            rgb = crops.cut(image, affine, CROP_PX)[0, :, :, ::-1]
            evidence = _evidence(data, row)
        else:
            shown_box = boxes_to_upright(box[None], frame.shown, frame.picture.width, frame.picture.height)
            affine = crops.boxes_to_squares(shown_box, CROP_PX, margin=BOX_MARGIN)
            rgb = crops.cut(np.ascontiguousarray(upright_bgr(frame)), affine, CROP_PX)[0, :, :, ::-1]
            evidence = None
        sharpness = quality.measure(rgb[None])[0, quality.MEASURES.index("sharpness")]
        side = float(min(box[2] - box[0], box[3] - box[1]))
        return Shot(frame.source_s, np.ascontiguousarray(rgb), evidence, (evidence is not None, side * sharpness))


def _evidence(data: Mapping[str, Array], row: int) -> Array | None:
    """The map of the one detector that gives any, of a face that it scored."""
    for name, maps in data.items():
        system = name.removesuffix("_map")
        if system != name and np.isfinite(maps[row]).all() and np.isfinite(data[FORGED + system][row]):
            return np.asarray(maps[row])
    return None


def _alike(verdict: Verdict) -> Verdict:
    """The verdict as one of many: of no track by name, its probability to a hundredth."""
    probability = None if verdict.probability is None else round(verdict.probability, 2)
    return Verdict(f"others/{OTHERS}", verdict.model, probability, verdict.reasons, verdict.words)
