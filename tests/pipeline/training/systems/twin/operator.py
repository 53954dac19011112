"""The scores of the system whose training is over at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engines import Engine
from operators import crops
from operators.cropset import CropSet


def score(engines: Mapping[str, Engine], crop_set: CropSet) -> NDArray[np.float64]:
    return np.asarray(engines["detector"](face=crops.to_input(crop_set.pixels))["fake_prob"][:, 0])
