"""Which covers lie in a picture, and which of them overlap and are painted as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from operators.frame import Cover, Frame
from operators.paint.geometry import CoverRegion, region_of


class PlacedCover(NamedTuple):
    """A cover and where it lies."""

    cover: Cover
    region: CoverRegion


class CoverGroup(NamedTuple):
    """Covers that overlap, in their order.

    Attributes:
        blends: where they do, the brighter one shows, so that blurred heads run into each other.
    """

    covers: tuple[PlacedCover, ...]
    blends: bool


def groups_in(frame: Frame) -> list[CoverGroup]:
    """The covers that lie in the picture of a frame."""
    placed = [PlacedCover(cover, region) for cover in frame.covers if (region := region_of(frame.picture, cover))]
    groups = ([placed[row] for row in rows] for rows in rows_of_groups(placed))
    return [CoverGroup(tuple(group), all(each.cover.style == "blur" for each in group)) for group in groups]


def rows_of_groups(placed: Sequence[PlacedCover]) -> list[list[int]]:
    """Rows of covers that meet with their soft edges, each group in its order; those that meet none are alone.

    >>> from operators.paint.geometry import Rect
    >>> boxes = (0, 0, 4, 4), (9, 0, 14, 4), (3, 1, 6, 4)
    >>> rows_of_groups([PlacedCover(Cover(box), CoverRegion(box, Rect(*box), Rect(*box))) for box in boxes])
    [[0, 2], [1]]
    """
    groups: list[list[int]] = []
    for row, one in enumerate(placed):
        joined = [group for group in groups if any(_meet(one, placed[other]) for other in group)]
        groups = [group for group in groups if group not in joined]
        groups.append(sorted([*(other for group in joined for other in group), row]))
    return sorted(groups)


def _meet(one: PlacedCover, other: PlacedCover) -> bool:
    a, b = one.region.outer, other.region.outer
    if a.x1 >= b.x2 or b.x1 >= a.x2 or a.y1 >= b.y2 or b.y1 >= a.y2:
        return False
    if one.cover.shape == "box" or other.cover.shape == "box":
        return True
    # Exact for ellipses of one aspect, and near enough for what is at stake, which is how edges look.
    (x, y, wide, high), (other_x, other_y, other_wide, other_high) = map(_ellipse, (one, other))
    return ((x - other_x) / (wide + other_wide)) ** 2 + ((y - other_y) / (high + other_high)) ** 2 < 1


def _ellipse(placed: PlacedCover) -> tuple[float, float, float, float]:
    """Middle and half axes, to the end of the soft edge."""
    (x1, y1, x2, y2), reach = placed.region.box, 1 + 2 * placed.cover.feather
    return (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2 * reach, (y2 - y1) / 2 * reach
