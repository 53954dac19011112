"""Curves over time for a page: where lines, ticks and marks lie. How they look is the template's and the style sheet's.

A plot is stretched to whatever room there is, its words are not: so all positions are parts of a hundred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Times in seconds and values, `(n,)` each; a NaN interrupts the line."""

X_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
MOST_TICKS = 6
GAP = 4
"""A line ends where nothing was measured for so many times the usual distance between two points."""
ANGLE_STEP = 15


@dataclass(frozen=True, slots=True)
class Tick:
    """A position on an axis, in hundredths of its length from the left or the top, and what is written there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class PlotCurve:
    """A curve: SVG path data in a square of 100, y downwards. `colour` counts from 1."""

    name: str
    path: str
    colour: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot.

    Attributes:
        title: what is read out where it cannot be seen.
        marks: horizontal lines, such as thresholds.
    """

    caption: str
    title: str
    lines: tuple[PlotCurve, ...]
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    marks: tuple[Tick, ...] = ()


def plot(
    caption: str,
    series: Mapping[str, Samples],
    *,
    seconds: float,
    low: float,
    high: float,
    y: Sequence[float],
    marks: Mapping[str, float] = {},
    unit: str = "",
    dashed: Sequence[str] = (),
    colours: Mapping[str, int] = {},
) -> Plot:
    """A plot of some series by their names.

    Args:
        seconds: the length of the time axis, which begins at 0.
        low, high: the ends of the other axis; values beyond lie on its edge.
        y: where it is labelled.
        marks: horizontal lines by what they mean.
        dashed: names of series that differ by more than colour.
        colours: of series that do not have the colour of their number.

    >>> ramp = np.array([0.0, 1.0])
    >>> plot("Score", {"anna": (ramp, ramp)}, seconds=1, low=0, high=1, y=(0, 1)).lines[0].path
    'M0.00 100.00h0L100.00 0.00'
    """
    span = max(seconds, 1e-3)

    def up(value: float) -> float:
        return round(100 * (1 - (min(max(value, low), high) - low) / (high - low)), 2)

    lines = tuple(
        PlotCurve(name, _path(points, span, low, high), colours.get(name, number), name in dashed)
        for number, (name, points) in enumerate(series.items(), 1)
    )
    ranges = [f"{name}: {_range_of(values, unit)}" for name, (_, values) in series.items()]
    return Plot(
        caption,
        f"{caption}, over {clock(seconds)}. {'; '.join(ranges)}",
        lines,
        _time_ticks(span),
        tuple(Tick(up(value), f"{value:g}{unit}") for value in y),
        tuple(Tick(up(value), name) for name, value in marks.items()),
    )


def angle_range(values: Sequence[NDArray[np.float64]]) -> float:
    """A whole step of degrees that reaches over all values, to either side.

    >>> angle_range([np.array([3.0, -20.0])])
    30.0
    """
    finite = np.concatenate([np.abs(v[np.isfinite(v)]) for v in values]) if values else np.zeros(0)
    return float(ANGLE_STEP * max(1, np.ceil(finite.max(initial=0) / ANGLE_STEP)))


def clock(seconds: float, tenths: bool = False) -> str:
    """As a player shows it.

    >>> clock(3725.04), clock(61.27, tenths=True)
    ('1:02:05', '1:01.3')
    """
    whole = round(seconds * 10) if tenths else round(seconds) * 10
    minutes, rest = divmod(whole, 600)
    hours, minutes_left = divmod(minutes, 60)
    last = f"{rest / 10:04.1f}" if tenths else f"{rest // 10:02}"
    return f"{hours}:{minutes_left:02}:{last}" if hours else f"{minutes}:{last}"


def _time_ticks(span: float) -> tuple[Tick, ...]:
    step = next((step for step in X_STEPS_S if span / step <= MOST_TICKS), X_STEPS_S[-1])
    count = int(span / step + 1e-9)
    return tuple(Tick(round(100 * k * step / span, 2), clock(k * step, tenths=step < 1)) for k in range(count + 1))


def _path(points: Samples, span: float, low: float, high: float) -> str:
    times, values = points
    known = np.isfinite(times) & np.isfinite(values)
    if not known.any():
        return ""
    x = np.clip(times / span, 0, 1) * 100
    y = (1 - (np.clip(values, low, high) - low) / (high - low)) * 100
    steps = np.diff(times[np.isfinite(times)])
    usual = float(np.median(steps)) if len(steps) else 0.0
    parts, last = [], -np.inf
    for time_s, across, down, there in zip(times, x, y, known, strict=True):
        if there:
            # A point of its own is a line of no length, which round ends make visible.
            begins = time_s - last > GAP * usual
            parts.append(f"M{across:.2f} {down:.2f}h0" if begins else f"L{across:.2f} {down:.2f}")
        last = time_s if there else -np.inf
    return "".join(parts)


def _range_of(values: NDArray[np.float64], unit: str) -> str:
    finite = values[np.isfinite(values)]
    return f"{finite.min():.2g} to {finite.max():.2g}{unit}" if len(finite) else "nothing measured"
