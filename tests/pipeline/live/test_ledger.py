"""The accounts of a stream: what is settled, what sound may pass, and counts that balance, over any number of lives."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.frame import Faces
from pipeline.live.ledger import PacketLedger
from pipeline.live.resume import ResumePoint
from pipeline.wire import FATE_COVERED_WHOLE, FATE_MASKED, FATE_WITHHELD, Fate, Ledger, Packet

VIDEO = ("masked", "covered", "withheld", "discarded", "lost")
SOUND = "sound"
NO_FACES = Faces.of()


def sound(number: int) -> Packet:
    return Packet(number=number, track=1)


def enter(ledger: PacketLedger, number: int, kind: str) -> list[int]:
    """One thing that may become of a packet; numbers of the sound that has passed with it."""
    if kind == "discarded":
        ledger.discard(number)
    elif kind == "lost":
        ledger.lose(number, "undecodable")
    elif kind == "withheld":
        ledger.show(number, FATE_WITHHELD, NO_FACES, "late")
    elif kind == SOUND:
        ledger.expect_audio(sound(number))
    else:
        ledger.show(number, FATE_MASKED if kind == "masked" else FATE_COVERED_WHOLE, NO_FACES)
    return [packet.number for packet in ledger.passed_audio()]


def continued(ledger: PacketLedger) -> PacketLedger:
    """As the next owner begins, from what was committed."""
    point = ResumePoint(settled_below=ledger.border, settled=ledger.above, ledger=ledger.counts)
    return PacketLedger(ResumePoint.from_bytes(point.to_bytes()))


KINDS = st.lists(st.sampled_from([*VIDEO, SOUND]), min_size=1, max_size=20)


@given(KINDS, st.data())
def test_in_whatever_order_packets_are_settled_border_and_above_are_those_settled(
    kinds: list[str], data: st.DataObject
) -> None:
    ledger, entered, passed = PacketLedger(ResumePoint()), set(), []

    for number in data.draw(st.permutations(range(len(kinds)))):
        passed += enter(ledger, number, kinds[number])
        entered.add(number)

        missing = min(set(range(len(kinds) + 1)) - entered)
        assert ledger.border == missing
        assert ledger.above == tuple(n for n in sorted(entered) if n > missing and kinds[n] != SOUND)
        assert [n for n in range(len(kinds)) if ledger.is_settled(n)] == [
            n for n in range(len(kinds)) if n < missing or n in ledger.above
        ]
        assert passed == [n for n in range(missing) if kinds[n] == SOUND]


@given(KINDS, st.data())
def test_over_a_takeover_nothing_is_counted_twice_or_passed_twice(kinds: list[str], data: st.DataObject) -> None:
    ledger, passed = PacketLedger(ResumePoint()), []
    for number in data.draw(st.lists(st.sampled_from(range(len(kinds))), unique=True)):
        passed += enter(ledger, number, kinds[number])

    ledger = continued(ledger)
    for number in data.draw(st.permutations(range(len(kinds)))):
        if not ledger.is_settled(number):
            passed += enter(ledger, number, kinds[number])

    counts, times = ledger.counts, {kind: kinds.count(kind) for kind in (*VIDEO, SOUND)}
    assert passed == [number for number, kind in enumerate(kinds) if kind == SOUND]
    assert (ledger.border, ledger.above) == (len(kinds), ())
    assert (counts.shown, counts.covered_whole) == (times["masked"] + times["covered"], times["covered"])
    assert counts.discarded == times["discarded"]
    assert (counts.withheld["late"], counts.withheld["undecodable"]) == (times["withheld"], times["lost"])
    assert len(kinds) - times[SOUND] == counts.shown + counts.discarded + sum(counts.withheld.values())


def test_sound_waits_for_the_pictures_before_it() -> None:
    ledger = PacketLedger(ResumePoint())

    passed = [enter(ledger, number, kind) for number, kind in [(1, SOUND), (2, SOUND), (3, "masked"), (0, "lost")]]

    assert passed == [[], [], [], [1, 2]]
    assert ledger.border == 4


def test_sound_that_passed_in_an_earlier_life_does_not_pass_again() -> None:
    ledger = PacketLedger(ResumePoint(settled_below=5, settled=(7,)))

    passed = [enter(ledger, number, SOUND) for number in (3, 4, 5, 6)]
    ledger.close()

    assert passed == [[], [], [5], [6]]
    assert ledger.passed_audio() == []
    assert (ledger.border, ledger.above) == (8, ())


def test_the_end_of_a_stream_lets_the_rest_of_the_sound_pass_in_order() -> None:
    ledger = PacketLedger(ResumePoint())
    for number in (5, 2, 9):
        ledger.expect_audio(sound(number))

    ledger.close()

    assert [packet.number for packet in ledger.passed_audio()] == [2, 5, 9]
    assert ledger.passed_audio() == []
    ledger.close()
    assert ledger.passed_audio() == []


@pytest.mark.parametrize(
    ("fate", "withheld", "counts"),
    [
        (FATE_MASKED, "", Ledger(shown=1, faces=2, kept=1, tracks=9)),
        (FATE_COVERED_WHOLE, "", Ledger(shown=1, covered_whole=1, faces=2, kept=1, tracks=9)),
        (FATE_WITHHELD, "late", Ledger(withheld={"late": 1}, tracks=9)),
    ],
    ids=["masked", "covered whole", "withheld"],
)
def test_what_is_counted_of_a_frame(fate: Fate.ValueType, withheld: str, counts: Ledger) -> None:
    ledger = PacketLedger(ResumePoint())
    faces = Faces.of([[0, 0, 8, 8]] * 3, tracks=[4, 9, 2], kept=[False, True, False])

    ledger.show(0, fate, faces, withheld)

    assert ledger.counts == counts


def test_counts_go_on_from_what_was_committed() -> None:
    committed = Ledger(shown=10, withheld={"late": 2}, faces=7, tracks=30, cpu_ms={"decode": 100.0})
    ledger = PacketLedger(ResumePoint(ledger=committed))

    ledger.show(0, FATE_MASKED, Faces.of([[0, 0, 8, 8]], tracks=[4]))
    ledger.lose(1, "late")
    ledger.add_cpu("decode", 5.0)
    ledger.add_cpu("paint", 1.0)

    assert ledger.counts == Ledger(
        shown=11, withheld={"late": 3}, faces=8, tracks=30, cpu_ms={"decode": 105.0, "paint": 1.0}
    )
    assert committed.shown == 10  # what was committed is not written to


def test_cpu_time_is_counted_by_stage_even_where_it_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0, process_time=iter([1.0, 1.25, 5.0, 5.5]).__next__)
    monkeypatch.setattr("pipeline.live.ledger.time", clock)
    ledger = PacketLedger(ResumePoint())

    with ledger.timed("paint"):
        pass
    with pytest.raises(ValueError, match="made to fail"), ledger.timed("track"):
        raise ValueError("made to fail")

    assert dict(ledger.counts.cpu_ms) == {"paint": 250.0, "track": 500.0}


def test_the_wall_time_is_that_of_all_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=iter([1000.0, 1004.0, 1010.0]).__next__)
    monkeypatch.setattr("pipeline.live.ledger.time", clock)
    ledger, seen = PacketLedger(ResumePoint(ledger=Ledger(wall_s=60))), []

    for _ in range(2):
        ledger.count_wall()
        seen.append(ledger.counts.wall_s)

    assert seen == [64.0, 70.0]
