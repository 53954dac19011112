"""MediaPipe Face Landmarker on each face: 478 points with irises, 52 blendshapes, and the head's pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from pydantic import NonNegativeFloat, NonNegativeInt

from engines import EngineError
from operators.arrays import Array
from operators.frame import Frame
from operators.native_words import native_words_dropped
from operators.options import UnitInterval
from operators.upright import boxes_to_upright, points_to_coded, upright_bgr

POINTS, BLENDSHAPES = 478, 52
CROP_PX = 384


class Landmarker:
    """Adds to `faces.data` what it sees in an enlarged crop around each face, NaN where it sees none:

    - `mesh (n, 478, 3)` float32: x y in pixels of the coded picture, z alike, negative towards the camera;
    - `blendshapes (n, 52)` float32 0..1, MediaPipe's order: `_neutral` first, then ARKit's names by the alphabet;
    - `pose (n, 4, 4)` float32: from the canonical face, in cm, to a camera that looks straight at the crop.
      The rotation is that of the head in the upright picture; the translation means nothing outside of the crop.

    Args:
        model: `face_landmarker.task`; MediaPipe runs it itself, in about 8 CPU-ms a face.
        threshold: how sure MediaPipe must be that the crop holds a face.
        margin: how much of the box's longer side is added around it.
        min_px: faces whose box has a shorter side are left out.

    Raises:
        EngineError: MediaPipe cannot open the model.
    """

    def __init__(
        self,
        model: Path,
        *,
        threshold: UnitInterval = 0.3,
        margin: NonNegativeFloat = 0.4,
        min_px: NonNegativeInt = 24,
    ) -> None:
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)),
            min_face_detection_confidence=threshold,
            min_face_presence_confidence=threshold,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        try:
            with native_words_dropped():
                self._landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"{model}: MediaPipe cannot open it ({error}); fetch it again") from error
        self._margin, self._min_px = margin, min_px

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._look(frame) for frame in frames]

    def close(self) -> None:
        """Gives back what MediaPipe holds; left to the interpreter's exit, that raises inside MediaPipe."""
        with native_words_dropped():
            self._landmarker.close()

    def _look(self, frame: Frame) -> Frame:
        n = len(frame.faces)
        mesh = np.full((n, POINTS, 3), np.nan, np.float32)
        blendshapes = np.full((n, BLENDSHAPES), np.nan, np.float32)
        pose = np.full((n, 4, 4), np.nan, np.float32)
        coded = frame.shown, frame.picture.width, frame.picture.height
        for row, box in enumerate(boxes_to_upright(frame.faces.boxes, *coded)):
            if min(box[2] - box[0], box[3] - box[1]) < self._min_px:
                continue
            image = upright_bgr(frame)
            left, top, right, bottom = self._crop(box, image.shape[1], image.shape[0])
            found = self._detect(image[top:bottom, left:right])
            if not found.face_landmarks:
                continue
            # z comes in units of the crop's width, as x does.
            size = np.array([right - left, bottom - top, right - left], np.float32)
            points = np.array([(p.x, p.y, p.z) for p in found.face_landmarks[0]], np.float32) * size
            points[:, :2] += (left, top)
            if not _inside(points[:, :2].mean(axis=0), box):
                continue  # a neighbour's face
            mesh[row, :, :2], mesh[row, :, 2] = points_to_coded(points[:, :2], *coded), points[:, 2]
            blendshapes[row] = [shape.score for shape in found.face_blendshapes[0]]
            pose[row] = found.facial_transformation_matrixes[0]
        return replace(frame, faces=frame.faces.with_data(mesh=mesh, blendshapes=blendshapes, pose=pose))

    def _crop(self, box: Array, width: int, height: int) -> tuple[int, int, int, int]:
        """A square around the box, cut off at the picture's edges."""
        half = max(box[2] - box[0], box[3] - box[1]) * (0.5 + self._margin)
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return max(0, int(x - half)), max(0, int(y - half)), min(width, int(x + half)), min(height, int(y + half))

    def _detect(self, crop: Array) -> vision.FaceLandmarkerResult:
        longest = max(crop.shape)
        if longest > CROP_PX:
            scale = CROP_PX / longest
            crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image = np.ascontiguousarray(crop[:, :, ::-1])
        return self._landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=image))


def _inside(point: Array, box: Array) -> bool:
    return bool(box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3])


OPERATOR = Landmarker
