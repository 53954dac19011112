"""How pictures are shown, between the head of an epoch and what operators and outputs look through."""

from __future__ import annotations

from fractions import Fraction

from operators.shown import FieldOrder, Shown
from pipeline.wire import Head, ShownMessage, fraction, rational

_FIELD_ORDERS: tuple[FieldOrder, ...] = ("", "top", "bottom")
_KEPT = 64
"""So many ways in which pictures are shown are remembered: a stream that means harm may change it with each."""


def of_head(head: Head) -> Shown:
    """What a head says; what it does not is as it lies.

    >>> of_head(Head(shown=ShownMessage(sample_aspect=rational(Fraction(4, 3))))).sample_aspect
    Fraction(4, 3)
    """
    said = head.shown
    order = _FIELD_ORDERS[said.field_order] if said.field_order < len(_FIELD_ORDERS) else ""
    return Shown(tuple(said.matrix), fraction(said.sample_aspect) or Fraction(1), order, said.alpha)


def message_of(shown: Shown) -> ShownMessage:
    """The same as it travels.

    >>> message_of(Shown.turned(180)).matrix[:5]
    [-65536, 0, 0, 0, -65536]
    """
    return ShownMessage(
        matrix=shown.matrix,
        sample_aspect=rational(shown.sample_aspect),
        field_order=_FIELD_ORDERS.index(shown.field_order),
        alpha=shown.alpha,
    )


def head_as_shown(head: Head, shown: Shown) -> Head:
    """The head itself, or a copy that says of pictures that they are shown like this."""
    if of_head(head) == shown:
        return head
    changed = Head()
    changed.CopyFrom(head)
    changed.shown.CopyFrom(message_of(shown))
    return changed


def is_plausible(said: ShownMessage) -> bool:
    """Whether it can be meant, whoever made it."""
    aspects = [rational for rational in (said.sample_aspect, said.coded_aspect) if rational.den]
    return len(said.matrix) in (0, 9) and all(fraction(aspect) >= 0 for aspect in aspects)


class PictureGeometry:
    """How each picture of an epoch is shown: as its head says, unless the picture itself says otherwise.

    A decoder reports of each picture what is in its own bytes. A matrix there goes before the container's, as in every
    player. An aspect there counts from where it changes: before, the container's goes before it.

    Args:
        head: of the epoch.
    """

    def __init__(self, head: Head) -> None:
        self._stated = of_head(head)
        self._coded_aspect = fraction(head.shown.coded_aspect)
        self._is_silent = not fraction(head.shown.sample_aspect)
        self._known: dict[tuple[tuple[int, ...], Fraction], Shown] = {}

    def of_picture(self, matrix: tuple[int, ...], aspect: Fraction) -> Shown:
        """How it is shown.

        Args:
            matrix: in the picture's own bytes; empty for none.
            aspect: of a sample, by the codec; 0 where it says nothing.
        """
        said = matrix, aspect
        if said not in self._known:
            if len(self._known) > _KEPT:
                self._known.clear()
            self._known[said] = self._shown(matrix, aspect)
        return self._known[said]

    def _shown(self, matrix: tuple[int, ...], aspect: Fraction) -> Shown:
        stated = self._stated
        counts = aspect != self._coded_aspect if self._coded_aspect else self._is_silent
        sample_aspect = aspect if aspect > 0 and counts else stated.sample_aspect
        return Shown(matrix or stated.matrix, sample_aspect, stated.field_order, stated.alpha)
