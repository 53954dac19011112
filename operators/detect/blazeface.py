"""BlazeFace, short range, by MediaPipe: a quick detector for a few large faces, such as a video call's.

Not for hiding people in streets or halls: the network looks at 128 x 128 pixels, so faces further away than
some two metres, or smaller than about a tenth of the picture, are missed. `detect.centerface` finds those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

from engines import EngineError
from operators.frame import Faces, Frame
from operators.native_words import native_words_dropped
from operators.options import UnitInterval
from operators.upright import boxes_to_coded, points_to_coded, upright_bgr

EYES_AND_NOSE = slice(0, 3)
BLANK = np.zeros((128, 128, 3), np.uint8)


class BlazeFace:
    """Adds the faces of each frame, and marks it as examined.

    Mouth corners are not among its points: those landmarks are NaN.

    Args:
        model: `blaze_face_short_range.tflite`; MediaPipe runs it itself.
        threshold: the lowest score of a face.
        nms: of two boxes that overlap by more than this (IoU) the lesser is dropped.

    Raises:
        EngineError: MediaPipe cannot open the model.
    """

    def __init__(self, model: Path, *, threshold: UnitInterval = 0.5, nms: UnitInterval = 0.3) -> None:
        options = vision.FaceDetectorOptions(
            base_options=BaseOptions(model_asset_path=str(model)),
            min_detection_confidence=threshold,
            min_suppression_threshold=nms,
        )
        try:
            with native_words_dropped():
                self._detector = vision.FaceDetector.create_from_options(options)
                self._detector.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=BLANK))  # it greets here, too
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"{model}: MediaPipe cannot open it ({error}); fetch it again") from error

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._look(frame) for frame in frames]

    def close(self) -> None:
        """Gives back what MediaPipe holds; left to the interpreter's exit, that raises inside MediaPipe."""
        with native_words_dropped():
            self._detector.close()

    def _look(self, frame: Frame) -> Frame:
        image = np.ascontiguousarray(upright_bgr(frame)[:, :, ::-1])
        height, width = image.shape[:2]
        found = self._detector.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=image)).detections
        boxes = np.zeros((len(found), 4), np.float32)
        points = np.full((len(found), 5, 2), np.nan, np.float32)
        for row, detection in enumerate(found):
            box = detection.bounding_box
            boxes[row] = box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height
            points[row, EYES_AND_NOSE] = [(p.x * width, p.y * height) for p in detection.keypoints[EYES_AND_NOSE]]
        coded = frame.shown, frame.picture.width, frame.picture.height
        faces = Faces.of(
            boxes_to_coded(np.clip(boxes, 0, (width, height, width, height)), *coded),
            [detection.categories[0].score for detection in found],
            landmarks=points_to_coded(points, *coded),
        )
        return replace(frame, faces=frame.faces + faces, examined=True)


OPERATOR = BlazeFace
