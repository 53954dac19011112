"""Messages as they travel: fractions are exact, and what is not set is zero."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import facewarden_pb2, wire
from pipeline.wire import Head, Packet, Rational, StreamRecord, fraction, rational

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(INT64, st.integers(1, (1 << 63) - 1))
def test_a_fraction_survives_its_journey(numerator: int, denominator: int) -> None:
    value = Fraction(numerator, denominator)

    assert fraction(Rational.FromString(rational(value).SerializeToString())) == value


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (Rational(), Fraction(0)),
        (Rational(num=3), Fraction(0)),
        (Rational(den=5), Fraction(0)),
        (Rational(num=50, den=100), Fraction(1, 2)),
        (Rational(num=1, den=-25), Fraction(-1, 25)),
        (Head().time_base, Fraction(0)),
    ],
    ids=["unset", "no denominator", "no numerator", "not reduced", "below zero", "not in its message"],
)
def test_a_message_as_a_fraction(message: Rational, value: Fraction) -> None:
    assert fraction(message) == value


@pytest.mark.parametrize("value", [None, Fraction(0)])
def test_nothing_is_zero_and_can_be_divided_by_one(value: Fraction | None) -> None:
    assert rational(value) == Rational(num=0, den=1)


def test_a_packet_without_a_time_is_told_from_one_at_zero() -> None:
    packets = [Packet(), Packet(pts=0), Packet(pts=-5)]

    back = [StreamRecord.FromString(StreamRecord(packet=packet).SerializeToString()).packet for packet in packets]

    assert [packet.HasField("pts") for packet in back] == [False, True, True]
    assert [packet.pts for packet in back] == [0, 0, -5]


def test_all_messages_and_fates_have_a_name_here() -> None:
    renamed = {"Verdict", "Shown"}
    messages = set(facewarden_pb2.DESCRIPTOR.message_types_by_name) - renamed | {f"{name}Message" for name in renamed}
    fates = set(facewarden_pb2.Fate.keys())

    assert set(wire.__all__) == messages | fates | {"Fate", "fraction", "rational"}
    assert wire.VerdictMessage.DESCRIPTOR.name == "Verdict"
