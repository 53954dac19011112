"""ACMF at run time: every face scored by itself, every track by its faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat

from engines import Engine, FrameError
from operators import crops
from operators.cropset import CropSet
from operators.deepfake import quality
from operators.deepfake.quality import HeadTurn
from operators.deepfake.scores import Standings, known_to, unspoken
from operators.frame import Frame, Verdict
from operators.options import CropMargin, PositiveCount
from operators.upright import crop_view

SIZE = 128


class ForgeryScorer:
    """Scores each face from 0 (genuine) to 1 (forged), and says about each track what its scores allow.

    Needs `faces.data["mesh"]` of `landmarks.mediapipe`. Adds to `faces.data`, NaN where it keeps silent:

    - `forged_acmf (n,)` float32: the calibrated probability that the face is forged;
    - `acmf_map (n, h, w)` float32: how much each part of the crop speaks for it, 0 or more.

    Every `every` scored frames of a track, and then again, `frame.verdicts` says what is claimed about it.

    Args:
        detector: `face (n, 3, s, s)` RGB 0..1 -> `fake_prob (n, 1)`, `cam_fake (n, 1, h, w)`.
        size: s; None is what the network takes.
        margin: how much larger than the mesh's box a crop is, as in training.
        stride: a track is scored in every so many frames.
        least: a track with fewer scored frames is not spoken of.
        every: how many scored frames lie between two verdicts on a track.
        min_px: faces whose box has a shorter side are not scored.
        max_yaw: nor those turned away further, in degrees.
        limits: what the card's metrics would say; None reads them there. Without either nothing is ever claimed.

    Attributes:
        map_margin: that of the crops that `acmf_map` lies on.

    Raises:
        EngineError: the card next to the model is damaged or missing.
    """

    def __init__(
        self,
        detector: Engine,
        *,
        size: PositiveCount | None = None,
        margin: CropMargin = 1.1,
        stride: PositiveCount = 1,
        least: PositiveCount = 8,
        every: PositiveCount = 25,
        min_px: NonNegativeFloat = 48,
        max_yaw: HeadTurn = 45,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self._detector = detector
        self._size, self.map_margin = size or _size_of(detector), margin
        self._stride, self._every = stride, every
        self._min_px, self._max_yaw = min_px, max_yaw
        self._limits, model = known_to(detector, limits)
        self._standings = Standings(model, self._limits, least=least)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._look(frame) for frame in frames]

    def verdicts(self, stream: str) -> list[Verdict]:
        """What is said about the tracks of a stream, and last, about the stream."""
        return self._standings.verdicts(stream)

    def snapshot(self, stream: str) -> bytes:
        return self._standings.snapshot(stream)

    def restore(self, stream: str, state: bytes) -> None:
        self._standings.restore(stream, state)

    def forget(self, stream: str) -> None:
        self._standings.forget(stream)

    def _look(self, frame: Frame) -> Frame:
        faces = frame.faces
        if not len(faces) or frame.index % self._stride:
            return frame
        if "mesh" not in faces.data:
            raise FrameError("deepfake.acmf: expected faces with a mesh; put landmarks.mediapipe before it")
        faults = quality.placing_faults(
            faces.boxes, faces.data["mesh"], faces.data.get("pose"), min_px=self._min_px, max_yaw=self._max_yaw
        )
        rows = np.array([row for row, fault in enumerate(faults) if not fault and faces.seen[row]], int)
        probability = np.full(len(faces), np.nan, np.float32)
        if len(rows):
            image, meshes = crop_view(frame, faces.data["mesh"][rows])
            squares = crops.squares(meshes, self._size, margin=self.map_margin)
            cut = crops.cut(image, squares, self._size)[..., ::-1]
            found = self._detector(face=crops.to_input(cut))
            for row, fault in zip(rows, quality.faults(quality.measure(cut), self._limits.usual), strict=True):
                faults[row] = fault
            judged = [row for row in rows if not faults[row]]
            probability[rows] = found["fake_prob"][:, 0]
            probability[[row for row in rows if faults[row]]] = np.nan
            for row in judged:
                self._standings.add(frame.stream, int(faces.tracks[row]), frame.index, float(probability[row]), "")
            maps = np.full((len(faces), *found["cam_fake"].shape[2:]), np.nan, np.float32)
            maps[rows] = found["cam_fake"][:, 0]
            faces = faces.with_data(acmf_map=maps)
        for row, fault in enumerate(faults):
            if fault:
                self._standings.add(frame.stream, int(faces.tracks[row]), frame.index, np.nan, fault)
        due = self._standings.due(frame.stream, frame.index, self._every)
        return replace(frame, faces=faces.with_data(forged_acmf=probability), verdicts=(*frame.verdicts, *due))


def score(engines: Mapping[str, Engine], crop_set: CropSet) -> NDArray[np.float64]:
    """The probability `(n,)` that each crop is forged."""
    detector = engines["detector"]
    batches = crops.batches(crop_set.pixels, _size_of(detector))
    scores = [detector(face=crops.to_input(pixels))["fake_prob"][:, 0] for pixels in batches]
    return np.concatenate([np.zeros(0), *scores])


def abstains(engines: Mapping[str, Engine], crop_set: CropSet, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of which crops `(n,)` nothing would be claimed: for what they are like, or for what they score `(n,)`."""
    detector = engines["detector"]
    return unspoken(detector, crop_set.pixels, _size_of(detector), scores)


def _size_of(detector: Any) -> int:
    inputs = getattr(detector, "inputs", None)
    return int(inputs["face"].shape[-1]) if inputs else SIZE


OPERATOR = ForgeryScorer
