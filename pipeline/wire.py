"""Messages as they travel, and the only importer of the generated `facewarden_pb2`."""

from __future__ import annotations

from fractions import Fraction

from pipeline.facewarden_pb2 import (
    FATE_COVERED_WHOLE,
    FATE_MASKED,
    FATE_UNSPECIFIED,
    FATE_WITHHELD,
    AudioTrack,
    Chapter,
    Color,
    End,
    Face,
    Fate,
    FrameReport,
    Head,
    IngestState,
    Ledger,
    Packet,
    Rational,
    Reject,
    Seal,
    StreamRecord,
    StreamState,
    VerdictRecord,
    Zone,
)
from pipeline.facewarden_pb2 import Shown as ShownMessage
from pipeline.facewarden_pb2 import Verdict as VerdictMessage


def fraction(value: Rational) -> Fraction:
    """The number, 0 where nothing was set.

    >>> fraction(Rational(num=30000, den=1001)), fraction(Rational())
    (Fraction(30000, 1001), Fraction(0, 1))
    """
    return Fraction(value.num, value.den) if value.den else Fraction(0)


def rational(value: Fraction | None) -> Rational:
    """The message, 0/1 for None.

    >>> rate = rational(Fraction(50, 2))
    >>> rate.num, rate.den
    (25, 1)
    """
    value = value or Fraction(0)
    return Rational(num=value.numerator, den=value.denominator)


__all__ = [
    "FATE_COVERED_WHOLE",
    "FATE_MASKED",
    "FATE_UNSPECIFIED",
    "FATE_WITHHELD",
    "AudioTrack",
    "Chapter",
    "Color",
    "End",
    "Face",
    "Fate",
    "FrameReport",
    "Head",
    "IngestState",
    "Ledger",
    "Packet",
    "Rational",
    "Reject",
    "Seal",
    "ShownMessage",
    "StreamRecord",
    "StreamState",
    "VerdictMessage",
    "VerdictRecord",
    "Zone",
    "fraction",
    "rational",
]
