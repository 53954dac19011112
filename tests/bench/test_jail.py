"""The bench of the jail compares a child with the filter and one without."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_jail import cpu_ms, decoder_of, figures_of, read
from pipeline.jail import call_filter
from pipeline.wire import Head, Packet
from tests.clips import Clips

Read = tuple[Head, list[Packet]]


@pytest.fixture
def clip(clips: Clips) -> Read:
    return read(clips("h264_plain").path, 20)


@pytest.mark.parametrize("order", [("with", "without"), ("without", "with")])
def test_both_kinds_are_timed(clip: Read, order: tuple[str, str]) -> None:
    found = cpu_ms(*clip, order)

    assert set(found) == {"with", "without"}
    assert all(value > 0 for value in found.values())


@pytest.mark.skipif(not call_filter.program("closed"), reason=call_filter.MISSING)
@pytest.mark.parametrize(("kind", "mode"), [("with", "2"), ("without", "0")])
def test_one_has_the_filter_and_one_has_none(clip: Read, kind: str, mode: str) -> None:
    head, packets = clip

    with decoder_of(kind, head) as decoder:
        decoder.send(packets[0])
        while not decoder.decoded:
            decoder.receive(5)
        status = Path(f"/proc/{decoder.pid}/status").read_text()

    assert f"Seccomp:\t{mode}" in status


def test_no_more_packets_are_read_than_asked_for(clip: Read) -> None:
    assert [packet.number for packet in clip[1]] == list(range(20))


def test_figures_are_medians() -> None:
    rounds = [{"with": 20.0, "without": 10.0}, {"with": 10.0, "without": 10.0}, {"with": 9.0, "without": 10.0}]

    assert figures_of(rounds) == {"rounds": 3, "jail_over_bare": 1.0, "jail_over_bare_spread": 1.1}
