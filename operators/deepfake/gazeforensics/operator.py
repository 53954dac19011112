"""GazeForensics at run time: each frame of a track is encoded once, and clips of the last ones are compared."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat

from engines import ConfigError, Engine, FrameError
from operators import crops
from operators.arrays import Array
from operators.cropset import CropSet
from operators.deepfake import eyes, quality
from operators.deepfake.gazeforensics.data import prepared, testing_rows, videos_of
from operators.deepfake.quality import HeadTurn
from operators.deepfake.scores import FORGET_AFTER_FRAMES, Standings, card_of, known_to, unspoken
from operators.frame import Frame, Verdict
from operators.options import CropMargin, PositiveCount
from operators.upright import crop_view

SIZE, FRAMES = 96, 8
LATEST = 8
"""A track is scored by so many of its last clips."""
BATCH = 32


@dataclass(slots=True)
class Ring:
    """What is kept of one track.

    Attributes:
        embeddings: of the last frames, oldest first; each `(e,)` float32.
        gaze: pitch and yaw of the right and left eye in those frames, `(2, 2)` float32 degrees each.
        new: how many of them no clip has been scored with.
        seen: frames of the track that could have been taken; the stride counts them.
        met_at: index of the last frame that had it.
    """

    embeddings: list[NDArray[np.float32]] = field(default_factory=list)
    gaze: list[NDArray[np.float32]] = field(default_factory=list)
    new: int = 0
    seen: int = 0
    met_at: int = 0

    def keep(self, embedding: NDArray[np.float32], gaze: NDArray[np.float32], length: int) -> None:
        self.embeddings = [*self.embeddings, embedding][-length:]
        self.gaze = [*self.gaze, gaze][-length:]
        self.new += 1


class GazeJudge:
    """Scores clips of each track from 0 (genuine) to 1 (forged) by how eyes and face hang together over time.

    Needs `faces.data["mesh"]` of `landmarks.mediapipe`, and tracks. Adds to `faces.data`:

    - `gaze (n, 2, 2)` float32: pitch and yaw in degrees of the right and the left eye against the head, NaN where they
      are not seen; `vergence (n,)`, by how much they turn towards each other; `eyes_agree (n,)`, how alike both moved
      over the last frames, -1..1;
    - `forged_gazeforensics (n,)` float32: the calibrated probability of the clip that ended with this frame, else NaN.

    Every `every` clips of a track, and then again, `frame.verdicts` says what is claimed about it.

    Args:
        frame: `face (n, 3, s, s)` RGB, ImageNet-normalised -> `emb (n, e)`.
        clip: `emb_seq (n, t, e)` -> `fake_prob (n, 1)`.
        size: s; None is what the networks take.
        frames: t; None is what the networks take.
        margin: how much larger than the mesh's box a crop is.
        centre: which part of a crop's side is kept; None is what the card says.
        stride: every so many frames of a track one is taken.
        fresh: a clip is scored when so many frames are new.
        least: a track with fewer scored clips is not spoken of.
        every: how many clips lie between two verdicts on a track.
        min_px: faces whose box has a shorter side are not taken.
        max_yaw: nor those turned away further, in degrees.
        limits: what the card's metrics would say; None reads them there. Without either nothing is ever claimed.

    Raises:
        EngineError: the card next to the model is damaged or missing.
    """

    def __init__(
        self,
        frame: Engine,
        clip: Engine,
        *,
        size: PositiveCount | None = None,
        frames: PositiveCount | None = None,
        margin: CropMargin = 1.1,
        centre: Annotated[float, Field(gt=0, le=1)] | None = None,
        stride: PositiveCount = 2,
        fresh: PositiveCount = 4,
        least: PositiveCount = 2,
        every: PositiveCount = 4,
        min_px: NonNegativeFloat = 64,
        max_yaw: HeadTurn = 45,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self._encode, self._compare = frame, clip
        own_size, own_frames = _shape({"frame": frame, "clip": clip})
        self._size, self._frames, self._margin = size or own_size, frames or own_frames, margin
        self._centre = _centre(clip) if centre is None else centre
        self._stride, self._fresh, self._every = stride, fresh, every
        self._min_px, self._max_yaw = min_px, max_yaw
        self._limits, model = known_to(clip, limits)
        self._standings = Standings(model, self._limits, least=least, latest=LATEST)
        self._rings: defaultdict[str, dict[int, Ring]] = defaultdict(dict)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._look(frame) for frame in frames]

    def verdicts(self, stream: str) -> list[Verdict]:
        """What is said about the tracks of a stream, and last, about the stream."""
        return self._standings.verdicts(stream)

    def snapshot(self, stream: str) -> bytes:
        rings = {track: _packed(ring) for track, ring in self._rings[stream].items()}
        return json.dumps({"rings": rings, "standings": self._standings.snapshot(stream).decode()}).encode()

    def restore(self, stream: str, state: bytes) -> None:
        kept = json.loads(state)
        self._rings[stream] = {int(track): _unpacked(ring) for track, ring in kept["rings"].items()}
        self._standings.restore(stream, kept["standings"].encode())

    def forget(self, stream: str) -> None:
        self._rings.pop(stream, None)
        self._standings.forget(stream)

    def _look(self, frame: Frame) -> Frame:
        faces = frame.faces
        if not len(faces):
            return frame
        if "mesh" not in faces.data:
            raise FrameError("deepfake.gazeforensics: expected faces with a mesh; put landmarks.mediapipe before it")
        gaze = eyes.angles(eyes.offsets(crop_view(frame, faces.data["mesh"])[1])).astype(np.float32)
        probability, agree = np.full((2, len(faces)), np.nan, np.float32)
        taken = self._taken(frame)
        if len(taken):
            self._encode_faces(frame, taken, gaze)
        for row in taken:
            ring = self._rings[frame.stream][int(faces.tracks[row])]
            agree[row] = eyes.agreement(np.array(ring.gaze, np.float32).reshape(-1, 2, 2))
        due = self._due(frame, taken)
        if len(due):
            rings = [self._rings[frame.stream][int(faces.tracks[row])] for row in due]
            found = self._compare(emb_seq=np.stack([np.stack(ring.embeddings) for ring in rings]))
            probability[due] = found["fake_prob"][:, 0]
            for row, ring in zip(due, rings, strict=True):
                ring.new = 0
                self._standings.add(frame.stream, int(faces.tracks[row]), frame.index, float(probability[row]), "")
        said = self._standings.due(frame.stream, frame.index, self._every)
        extra = {"gaze": gaze, "vergence": eyes.vergence(gaze).astype(np.float32), "eyes_agree": agree}
        faces = faces.with_data(forged_gazeforensics=probability, **extra)
        return replace(frame, faces=faces, verdicts=(*frame.verdicts, *said))

    def _taken(self, frame: Frame) -> Array:
        """Rows of the faces whose turn it is and that can be used; of the others, why not is noted."""
        faces, rings = frame.faces, self._rings[frame.stream]
        for gone in [track for track, ring in rings.items() if ring.met_at < frame.index - FORGET_AFTER_FRAMES]:
            del rings[gone]
        faults = quality.placing_faults(
            faces.boxes, faces.data["mesh"], faces.data.get("pose"), min_px=self._min_px, max_yaw=self._max_yaw
        )
        taken = []
        for row, (track, fault) in enumerate(zip(faces.tracks.tolist(), faults, strict=True)):
            if track < 0 or not faces.seen[row]:
                continue
            ring = rings.setdefault(track, Ring())
            ring.met_at = frame.index
            ring.seen += 1
            self._standings.add(frame.stream, track, frame.index, np.nan, fault)
            if not fault and (ring.seen - 1) % self._stride == 0:
                taken.append(row)
        return np.array(taken, int)

    def _encode_faces(self, frame: Frame, rows: Array, gaze: Array) -> None:
        image, meshes = crop_view(frame, frame.faces.data["mesh"][rows])
        squares = crops.squares(meshes, self._size, margin=self._margin)
        cut = crops.cut(image, squares, self._size)[..., ::-1]
        found = self._encode(face=prepared(cut, self._size, centre=self._centre))["emb"]
        faults = quality.faults(quality.measure(cut), self._limits.usual)
        for row, embedding, fault in zip(rows, found, faults, strict=True):
            track = int(frame.faces.tracks[row])
            if fault:
                self._standings.add(frame.stream, track, frame.index, np.nan, fault)
            else:
                self._rings[frame.stream][track].keep(embedding, gaze[row], self._frames)

    def _due(self, frame: Frame, taken: Array) -> Array:
        """Those of the rows whose tracks have a whole clip, with enough new frames in it."""
        rings = [self._rings[frame.stream][int(frame.faces.tracks[row])] for row in taken]
        full = [len(ring.embeddings) == self._frames and ring.new >= self._fresh for ring in rings]
        return np.asarray(taken[np.array(full, bool)])


def _packed(ring: Ring) -> dict[str, Any]:
    arrays = {
        name: [base64.b64encode(array.astype("<f4").tobytes()).decode() for array in getattr(ring, name)]
        for name in ("embeddings", "gaze")
    }
    return {**arrays, "new": ring.new, "seen": ring.seen, "met_at": ring.met_at}


def _unpacked(kept: Mapping[str, Any]) -> Ring:
    def arrays(name: str, shape: tuple[int, ...]) -> list[NDArray[np.float32]]:
        return [np.frombuffer(base64.b64decode(text), "<f4").reshape(shape) for text in kept[name]]

    return Ring(arrays("embeddings", (-1,)), arrays("gaze", (2, 2)), kept["new"], kept["seen"], kept["met_at"])


def score(engines: Mapping[str, Engine], crop_set: CropSet) -> NDArray[np.float64]:
    """The probability `(n,)` that the clip of each crop is forged: the mean over test clips of several tempos.

    NaN for videos shorter than a clip, and for stills.
    """
    size, frames = _shape(engines)
    centre = _centre(engines["clip"])
    scores = np.full(len(crop_set), np.nan)
    for rows in videos_of(crop_set):
        windows = testing_rows(len(rows), frames)
        if not windows:
            continue
        parts = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
        faces = [prepared(np.asarray(crop_set.pixels[part]), size, centre=centre) for part in parts]
        emb = np.concatenate([engines["frame"](face=face)["emb"] for face in faces])
        found = engines["clip"](emb_seq=np.stack([emb[window] for window in windows]))["fake_prob"]
        scores[rows] = found.mean()
    return scores


def abstains(engines: Mapping[str, Engine], crop_set: CropSet, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of which crops `(n,)` nothing would be claimed: for what they are like, or for what their clip scores `(n,)`."""
    size, _ = _shape(engines)
    return unspoken(engines["clip"], crop_set.pixels, size, scores)


def _centre(clip: Engine) -> float:
    card = card_of(clip)
    value = card.metrics.get("centre", 1.0) if card else 1.0
    return value if isinstance(value, float) else 1.0


def _shape(engines: Mapping[str, Any]) -> tuple[int, int]:
    """Size of the frames and how many make a clip, from the networks' own inputs."""
    try:
        frame, clip = engines["frame"].inputs["face"].shape, engines["clip"].inputs["emb_seq"].shape
    except AttributeError:
        return SIZE, FRAMES
    if frame[-1] is None or clip[1] is None:
        raise ConfigError(f"expected networks of a fixed size and number of frames, got {frame} and {clip}")
    return int(frame[-1]), int(clip[1])


OPERATOR = GazeJudge
