"""Scores made into probabilities: what of a hundred faces scored 0.7 are forged should be seventy.

Fitted on a split of its own, neither trained on nor reported. Needs nothing but what the run time has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

from engines import ConfigError
from operators.arrays import Array

MOST = 1e-6
"""No probability comes closer to 0 or 1 than this before its logit is taken."""

KNOTS = 20
EVEN = tuple(np.linspace(0, 1, KNOTS).tolist())
ENOUGH = 50 * KNOTS
"""With fewer cases than this a bent curve would follow single ones: the temperature has to do."""
KEPT = 0.05
"""So much of the temperature stays in a bent curve, so that no two scores are tied by it."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """`p = sigmoid(scale * logit + bias)`: keeps the order, so AUC stays.

    >>> Temperature(scale=2.0)(np.array([0.5, 0.9])).round(3).tolist()  # odds of 9 become odds of 81
    [0.5, 0.988]
    """

    scale: float = 1.0
    bias: float = 0.0

    def __call__(self, scores: Array) -> Array:
        """Probabilities of scores in 0..1."""
        return np.asarray(expit(self.scale * _logits(scores) + self.bias))


@dataclass(frozen=True, slots=True)
class RisingLine:
    """A rising curve through `(x, y)`, straight between its knots and level beyond. Follows any bend, ties scores.

    >>> RisingLine((0.0, 1.0), (0.0, 0.5))(np.array([0.5, 1.0])).tolist()
    [0.25, 0.5]
    """

    x: tuple[float, ...] = EVEN
    y: tuple[float, ...] = EVEN

    def __call__(self, scores: Array) -> Array:
        """Probabilities of scores in 0..1."""
        return np.asarray(np.interp(scores, self.x, self.y))


@dataclass(frozen=True, slots=True)
class Curve:
    """A temperature, then steps for what it leaves: keeps the order, and follows any bend. Exported networks hold it.

    `PLAIN` leaves scores as they are.

    >>> PLAIN(np.array([0.2, 0.7])).round(6).tolist()
    [0.2, 0.7]
    """

    temperature: Temperature = Temperature()
    steps: RisingLine = RisingLine()

    def __call__(self, scores: Array) -> Array:
        """Probabilities of scores in 0..1."""
        straight = self.temperature(scores)
        return np.asarray((1 - KEPT) * self.steps(straight) + KEPT * straight)


PLAIN = Curve()


def fit_curve(scores: Array, labels: Array) -> Curve:
    """A temperature, and from `ENOUGH` cases on with steps after it.

    Raises:
        ConfigError: there is one class alone.

    >>> fit_curve(np.array([0.2, 0.8]), np.array([0, 1])).steps == RisingLine()
    True
    """
    temperature = fit_temperature(scores, labels)
    steps = fit_steps(temperature(scores), labels) if len(scores) >= ENOUGH else RisingLine()
    return Curve(temperature, steps)


def fit_temperature(scores: Array, labels: Array) -> Temperature:
    """The scale and bias under which the labels are most likely, drawn in a little towards 0.5 by Platt's targets.

    Both classes weigh alike, whatever their numbers, so the probability is that of an even chance beforehand.

    Raises:
        ConfigError: there is one class alone.

    >>> scores, labels = np.repeat([0.99, 0.01, 0.99, 0.01], (300, 100, 100, 300)), np.repeat([1, 0], 400)
    >>> round(fit_temperature(scores, labels)(np.array(0.99)).item(), 2)  # three of four so scored are forged
    0.75
    """
    logits, fake = _logits(scores), np.asarray(labels) == 1
    fakes, genuine = int(fake.sum()), int((~fake).sum())
    if not fakes or not genuine:
        raise ConfigError(
            f"expected forged and genuine crops to calibrate on, got {fakes} and {genuine}; put more groups into val"
        )
    goal = np.where(fake, (fakes + 1) / (fakes + 2), 1 / (genuine + 2))
    weight = np.where(fake, 0.5 / fakes, 0.5 / genuine)

    def loss(parameters: Array) -> tuple[float, Array]:
        z = np.exp(parameters[0]) * logits + parameters[1]
        off = weight * (expit(z) - goal)
        value = weight @ (np.logaddexp(0, z) - goal * z)
        return float(value), np.array([(off * logits).sum() * np.exp(parameters[0]), off.sum()])

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=((-4, 4), (-10, 10)))
    return Temperature(float(np.exp(found.x[0])), float(found.x[1]))


def fit_steps(scores: Array, labels: Array) -> RisingLine:
    """Isotonic regression, thinned to knots at quantiles so that it does not follow every single case.

    Both classes weigh alike, as for the temperature.

    >>> scores, labels = np.repeat([0.99, 0.01, 0.99, 0.01], (300, 100, 100, 300)), np.repeat([1, 0], 400)
    >>> fit_steps(scores, labels)(np.array([0.01, 0.99])).round(2).tolist()
    [0.25, 0.75]
    """
    order = np.argsort(scores, kind="stable")
    scores, fake = np.asarray(scores, np.float64)[order], (np.asarray(labels) == 1)[order]
    weights = np.where(fake, 0.5 / max(1, fake.sum()), 0.5 / max(1, (~fake).sum()))
    fitted = isotonic_regression(fake.astype(np.float64), weights=weights).x
    parts = np.array_split(np.arange(len(order)), KNOTS)
    x = np.array([np.mean(scores[part]) for part in parts if len(part)])
    y = np.array([np.average(fitted[part], weights=weights[part]) for part in parts if len(part)])
    apart = np.diff(x, prepend=-1) > MOST
    x, y = x[apart], y[apart]
    x, y = (np.pad(values, (0, KNOTS - len(values)), "edge") for values in (x, y))  # networks have room for so many
    return RisingLine(tuple(x.tolist()), tuple(y.tolist()))


def _logits(scores: Array) -> Array:
    return np.asarray(logit(np.clip(np.asarray(scores, np.float64), MOST, 1 - MOST)))
