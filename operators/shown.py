"""How the pictures of a stream are shown: turned, mirrored, stretched, woven of fields. What a decoder gives is only
how they are stored; whoever looks for people looks at what is shown, and whoever writes a result says it again.

Everything here is frozen. Pixels and points are turned in `operators.upright`; colours are said by each `Picture`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

FieldOrder = Literal["", "top", "bottom"]

ONE, UNIT = 1 << 16, 1 << 30
"""1 in the upper rows of a display matrix, and in its last column."""
LARGEST_ASPECT = 16
"""Samples are looked at as at most so many times wider than high, or higher than wide: no camera's are."""
LARGEST_AREA = 3840 * 2160
"""Pictures that are stretched do not get larger than this, or stay as large as they were."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a player does with a coded picture before anybody sees it.

    Attributes:
        matrix: the nine numbers of a display matrix, row by row, as ISO/IEC 14496-12 has them (16.16, the last column
            2.30): x' = a x + c y, y' = b x + d y, with y downwards. Empty: as the picture lies.
        sample_aspect: width of a sample over its height.
        field_order: which field of an interlaced picture comes first; empty for whole pictures.
        alpha: the source hides parts of its pictures by an alpha channel; they were blacked when it was decoded.

    Raises:
        ValueError: a matrix of another length, or an aspect that is not positive.
    """

    matrix: tuple[int, ...] = ()
    sample_aspect: Fraction = Fraction(1)
    field_order: FieldOrder = ""
    alpha: bool = False

    def __post_init__(self) -> None:
        if len(self.matrix) not in (0, 9):
            raise ValueError(f"shown.matrix: expected nine numbers or none, got {len(self.matrix)}")
        if self.sample_aspect <= 0:
            raise ValueError(f"shown.sample_aspect: expected more than 0, got {self.sample_aspect}")

    @classmethod
    def turned(cls, degrees: float, *, mirrored: bool = False, sample_aspect: Fraction | int = 1) -> Shown:
        """Turned counter-clockwise, and then mirrored left to right.

        >>> Shown.turned(90).matrix[:5]
        (0, -65536, 0, 65536, 0)
        """
        angle, side = math.radians(degrees), -1 if mirrored else 1
        cos, sin = round(math.cos(angle) * ONE), round(math.sin(angle) * ONE)
        matrix = (side * cos, -sin, 0, side * sin, cos, 0, 0, 0, UNIT) if degrees % 360 or mirrored else ()
        return cls(matrix, Fraction(sample_aspect))

    @property
    def geometry(self) -> tuple[tuple[int, ...], Fraction]:
        """All that decides where a sample comes to lie."""
        return self.matrix, self.sample_aspect

    @property
    def turns(self) -> int:
        """Quarter turns counter-clockwise, 0 to 3, that come nearest to the matrix.

        >>> Shown.turned(-90).turns, Shown.turned(100).turns
        (3, 1)
        """
        return _orientation(self.matrix)[0]

    @property
    def mirrored(self) -> bool:
        """After the turn, left and right change places.

        >>> Shown.turned(180, mirrored=True).mirrored
        True
        """
        return _orientation(self.matrix)[1]

    @property
    def rotation(self) -> int:
        """The turn in whole degrees counter-clockwise, -179 to 180.

        >>> Shown.turned(270).rotation
        -90
        """
        return _orientation(self.matrix)[2]

    def square_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a coded picture whose samples are made square by enlarging, not turned yet. What would
        become larger than LARGEST_AREA by that is reduced along the other side as well.

        >>> Shown(sample_aspect=Fraction(4)).square_size(320, 720)
        (1280, 720)
        >>> Shown(sample_aspect=Fraction(1, 2)).square_size(64, 48)
        (64, 96)
        """
        aspect = min(max(self.sample_aspect, Fraction(1, LARGEST_ASPECT)), Fraction(LARGEST_ASPECT))
        across, down = (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
        smaller = (max(width * height, LARGEST_AREA) / max(1, across * down)) ** 0.5
        return (across, down) if smaller >= 1 else (max(1, round(across * smaller)), max(1, round(down * smaller)))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a coded picture as it is shown, in square samples.

        >>> Shown.turned(90, sample_aspect=2).size(320, 480)
        (480, 640)
        """
        across, down = self.square_size(width, height)
        return (down, across) if self.turns % 2 else (across, down)


AS_IT_LIES = Shown()
"""Not turned, square samples, whole pictures."""


@lru_cache(maxsize=64)
def _orientation(matrix: tuple[int, ...]) -> tuple[int, bool, int]:
    """Quarter turns, mirrored or not, and degrees, all counter-clockwise. A matrix that flattens everything is none."""
    a, b, _, c, d, *_ = matrix or (1, 0, 0, 0, 1)
    area = a * d - b * c
    if area == 0:
        return 0, False, 0
    side = -1 if area < 0 else 1
    degrees = round(math.degrees(math.atan2(side * c, side * a)))
    return round(degrees / 90) % 4, area < 0, 180 if degrees == -180 else degrees
