"""Names for arrays, and for chance, in signatures. What shape they have, a docstring says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Image = NDArray[np.uint8]
"""`(h, w, 3)` uint8; whether BGR or RGB, who takes or gives it says."""
Rng = np.random.Generator
