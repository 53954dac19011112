"""What int8 needs to know of a detector: the inputs that its operator gives it, and the recall it reaches with it.

Pictures of even rank by file name are calibrated with, those of odd rank are judged on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import Engine, FacewardenError
from operators import Operator
from operators.arrays import Array
from operators.boxes import iou
from operators.stills import Labelled

IOU = 0.4
Opener = Callable[[Engine], Operator]
"""Makes the detector of an engine."""


class _InputsShown(FacewardenError):
    """Ends an operator once it has shown what it gives its engine: `inputs`."""

    def __init__(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        self.inputs = inputs


def _show(**inputs: NDArray[Any]) -> Mapping[str, Array]:
    raise _InputsShown(inputs)


def inputs_of(opener: Opener, pictures: Sequence[Labelled]) -> Iterator[Mapping[str, NDArray[Any]]]:
    """What an operator gives its engine for each picture."""
    for picture in pictures:
        try:
            opener(_show)([picture.frame])
        except _InputsShown as shown:
            yield shown.inputs


def recall(opener: Opener, engine: Engine, pictures: Sequence[Labelled]) -> float:
    """The share of labelled faces that an operator finds with an engine, at IoU 0.4."""
    detect = opener(engine)
    found = []
    for picture in pictures:
        faces = detect([picture.frame])[0].faces
        found.append(match(picture.boxes, faces.boxes, faces.scores))
    return float(np.concatenate(found).mean())


def match(labels: Array, boxes: Array, scores: Array) -> NDArray[np.bool_]:
    """Which of the labels `(n, 4)` are found: best-scored boxes `(m, 4)` choose first, each label is chosen once.

    >>> labels = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    >>> match(labels, np.array([[0.0, 0, 10, 9], [0, 0, 9, 10]]), np.array([0.9, 0.8])).tolist()
    [True, False]
    """
    found = np.zeros(len(labels), np.bool_)
    overlap = iou(labels, boxes)
    for best in np.argsort(-scores):
        free = np.where(found, 0, overlap[:, best])
        if free.max() >= IOU:
            found[free.argmax()] = True
    return found
