"""What a cover leaves of use: whether a face is still found, and how far points, pose, gaze and expression are off.

All against the same frames without a cover, after the same H.264, in short tracks of people of LFW; errors are over the
faces that are still found in both. What a style removes altogether cannot be off: read the errors beside the share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import cv2
import numpy as np

from bench.hiding import Hide, clear
from bench.leak_people import Cast
from bench.leak_stages import KeptArrays, chunks
from bench.leak_styles import CoverStyle
from bench.leak_tracks import filmed, sway, through_h264
from bench.leak_views import PROBE, Views
from engines import open_engine
from operators import Operator, fidelity
from operators.arrays import Array
from operators.boxes import iou
from operators.deepfake import eyes
from operators.detect.blazeface import BlazeFace
from operators.detect.centerface import CenterFace
from operators.detect.yunet import YuNet
from operators.frame import Faces, Picture, to_bgr
from operators.landmarks.mediapipe import Landmarker
from operators.stills import frame_of
from pipeline.models.catalog import find_model

PEOPLE, FRAMES, CHUNK = 25, 4, 5
LEAST_OVERLAP = 0.3
MEASURES = ("centerface", "yunet", "blazeface", "points", "pose", "gaze", "expression", "psnr", "ssim", "flicker")
FOUND = ("centerface", "yunet", "blazeface", "landmarker")
DEGREES = 180 / np.pi


def utility(views: Views, style: CoverStyle, people: int = PEOPLE) -> KeptArrays:
    """By measure a number for each person `(n,)`, the mean over the frames; NaN where nothing was found to measure.

    `centerface`, `yunet`, `blazeface`, `landmarker` are shares of frames; `points` is the mean distance of the mesh's
    points in eye distances; `pose` and `gaze` are in degrees, `expression` the mean difference of blendshapes (0..1);
    `psnr` (dB) and `ssim` are of the face's box; `flicker` is how much grey levels change there from frame to frame.
    """
    rows = views.cast.gallery[:people]
    parts = views.stages.of_each(
        chunks(rows, CHUNK), partial(_name, style), partial(_measured, views, style), f"utility: {style.name}"
    )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _name(style: CoverStyle, rows: Sequence[int]) -> str:
    return f"utility/{style.name}-{style.digest}/{rows[0]}-{rows[-1]}"


def _measured(views: Views, style: CoverStyle, rows: Sequence[int]) -> KeptArrays:
    hide = style.make(views.files, views.seed)
    found = [of_track(views.cast, row, hide) for row in rows]
    return {name: np.array([each_[name] for each_ in found]) for name in found[0]}


def of_track(cast: Cast, row: int, hide: Hide) -> dict[str, float]:
    """Of one person's track."""
    person = cast.people[row][PROBE].cropped()
    rng = np.random.default_rng((11, row))
    path = sway(rng, FRAMES)
    jitter = cast.jitter[rng.integers(len(cast.jitter))][:FRAMES]
    truth = person.box + np.tile(path, 2)
    boxes = [box[None] for box in truth + jitter * (person.box[3] - person.box[1])]
    images = filmed(person.image, path, rng)
    hidden, plain = (through_h264(each_(images, boxes, row)) for each_ in (hide, clear))
    return compared(hidden, plain, truth)


def compared(hidden: Sequence[Picture], plain: Sequence[Picture], boxes: Array) -> dict[str, float]:
    """Measures of covered frames against the same without a cover; boxes `(frames, 4)` are where the face is."""
    seen = [_seen(picture, box) for picture, box in zip(hidden, boxes, strict=True)]
    wanted = [_seen(picture, box) for picture, box in zip(plain, boxes, strict=True)]
    found = {name: float(np.mean([each_[name] for each_ in seen])) for name in FOUND}
    pairs = [
        (mine["faces"], theirs["faces"])
        for mine, theirs in zip(seen, wanted, strict=True)
        if mine["landmarker"] and theirs["landmarker"]
    ]
    errors = [_errors(*pair) for pair in pairs]
    for name in ("points", "pose", "gaze", "expression"):
        found[name] = float(np.mean([error[name] for error in errors])) if errors else float("nan")
    crops = [
        np.stack([_box_of(picture, box) for picture, box in zip(pictures, boxes, strict=True)])
        for pictures in (hidden, plain)
    ]
    found["psnr"] = float(fidelity.psnr(*crops).mean())
    found["ssim"] = float(fidelity.ssim(*crops).mean())
    found["flicker"] = float(np.abs(np.diff(crops[0].astype(float), axis=0)).mean())
    return found


def _box_of(picture: Picture, box: Array) -> Array:
    """`(48, 48, 3)` uint8 BGR: where the face is."""
    x1, y1, x2, y2 = box
    to_crop = np.array([[48 / (x2 - x1), 0, -x1 * 48 / (x2 - x1)], [0, 48 / (y2 - y1), -y1 * 48 / (y2 - y1)]])
    return np.asarray(cv2.warpAffine(to_bgr(picture), to_crop, (48, 48)), np.uint8)


def _seen(picture: Picture, box: Array) -> dict[str, Any]:
    frame = replace(frame_of(np.zeros((2, 2, 3), np.uint8)), picture=picture)
    found: dict[str, Any] = {
        name: bool((iou(detector([frame])[0].faces.boxes.astype(np.float64), box[None]) > LEAST_OVERLAP).any())
        for name, detector in detectors().items()
    }
    (looked,) = landmarker()([replace(frame, faces=Faces.of(box[None]))])
    return found | {"landmarker": bool(np.isfinite(looked.faces.data["mesh"]).all()), "faces": looked.faces}


def _errors(mine: Faces, theirs: Faces) -> dict[str, float]:
    """Of one face's mesh, pose, eyes and blendshapes against another's.

    Eye distance is between the outer corners, points 33 and 263 of the mesh.
    """
    own, true = (faces.data["mesh"][0].astype(np.float64) for faces in (mine, theirs))
    apart = np.linalg.norm(true[33, :2] - true[263, :2])
    turns = [faces.data["pose"][0][:3, :3].astype(np.float64) for faces in (mine, theirs)]
    turns = [turn / np.cbrt(np.linalg.det(turn)) for turn in turns]
    cosine = np.clip((np.trace(turns[0] @ turns[1].T) - 1) / 2, -1, 1)
    looks = [eyes.angles(eyes.offsets(points[None])) for points in (own, true)]
    return {
        "points": float(np.linalg.norm(own[:, :2] - true[:, :2], axis=1).mean() / apart),
        "pose": float(np.arccos(cosine) * DEGREES),
        "gaze": float(np.linalg.norm(looks[0] - looks[1], axis=-1).mean()),
        "expression": float(np.abs(mine.data["blendshapes"] - theirs.data["blendshapes"]).mean()),
    }


@cache
def detectors() -> Mapping[str, Operator]:
    return {
        "centerface": CenterFace(open_engine(find_model("centerface")), min_px=16),
        "yunet": YuNet(open_engine(find_model("yunet"))),
        "blazeface": BlazeFace(find_model("blazeface")),
    }


@cache
def landmarker() -> Landmarker:
    return Landmarker(find_model("face_landmarker"))
