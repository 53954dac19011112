"""Scores made into probabilities: what of a hundred faces scored 0.7 are forged should be seventy.

Fitted on a split of its own, neither trained on nor reported. Needs nothing but what the run time has, for it is
applied there too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

from engines import ConfigError

Array = NDArray[Any]

MOST = 1e-6
"""No probability comes closer to 0 or 1 than this before its logit is taken."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """`p = sigmoid(scale * logit + bias)`: keeps the order, so AUC stays. Exported networks hold it."""

    scale: float = 1.0
    bias: float = 0.0

    def __call__(self, scores: Array) -> Array:
        """Probabilities of scores in 0..1."""
        return np.asarray(expit(self.scale * _logits(scores) + self.bias))


@dataclass(frozen=True, slots=True)
class Steps:
    """A rising curve through `(x, y)`, straight between its knots and level beyond. Follows any bend, ties scores."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, scores: Array) -> Array:
        """Probabilities of scores in 0..1."""
        return np.asarray(np.interp(scores, self.x, self.y))


def fit_temperature(scores: Array, labels: Array) -> Temperature:
    """The scale and bias under which the labels are most likely, drawn in a little towards 0.5 by Platt's targets.

    Both classes weigh alike, whatever their numbers, so the probability is that of an even chance beforehand.

    Raises:
        ConfigError: there is one class alone.
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


def fit_steps(scores: Array, labels: Array, knots: int = 20) -> Steps:
    """Isotonic regression, thinned to some knots at quantiles so that it does not follow every single case."""
    order = np.argsort(scores, kind="stable")
    fitted = isotonic_regression(np.asarray(labels, np.float64)[order]).x
    parts = np.array_split(np.arange(len(order)), min(knots, len(order)))
    x = [float(np.mean(scores[order[part]])) for part in parts]
    y = [float(np.mean(fitted[part])) for part in parts]
    return Steps(tuple(x), tuple(y))


def _logits(scores: Array) -> Array:
    return np.asarray(logit(np.clip(np.asarray(scores, np.float64), MOST, 1 - MOST)))
