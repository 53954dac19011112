"""Every packet that goes into a decoder is accounted for once: a picture, never shown, or lost with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import FrameError
from pipeline.media.intake import (
    CORRUPT,
    FAILURES,
    MAX_DEATHS,
    MAX_FAILURES,
    MAX_OPENED,
    NO_PACKET,
    REORDER,
    UNDER_WAY,
    AlreadySettled,
    Intake,
    NeverShown,
    PacketLost,
    PacketOutcome,
    PictureCame,
)
from pipeline.wire import Packet
from tests.clips import Clips
from tests.pipeline.media import scripted_decoder
from tests.pipeline.media.passing import demux
from tests.pipeline.media.scripted_decoder import (
    BROKEN,
    FATAL,
    SHOWN,
    SILENT,
    ScriptedDecoder,
    head,
    packet,
    scripted_decoders,
)

Opened = list[ScriptedDecoder]


def take(intake: Intake) -> list[PacketOutcome]:
    """What has become of packets by now; slots of pictures are given back."""
    found = list(intake.outcomes(0.05))
    for outcome in found:
        if isinstance(outcome, PictureCame):
            intake.release(outcome.decoded.slot)
    return found


def run(intake: Intake, packets: Sequence[Packet], *, settled: Collection[int] = ()) -> list[PacketOutcome]:
    """All that becomes of these packets, as a stream does it from its head to its end."""
    found: list[PacketOutcome] = []
    for each in packets:
        while intake.full:
            found += take(intake)
        lost = intake.send(each, settled=each.number in settled)
        found += [lost] if lost is not None else []
    intake.finish()
    while not intake.done:
        found += take(intake)
    found += intake.silent()
    intake.close()
    return found


# -- with a decoder that follows a script --------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "discard", "becomes"),
    [
        pytest.param(SILENT, True, NeverShown(1), id="nothing, and discarded"),
        pytest.param(SHOWN, True, NeverShown(1), id="a picture of a discarded packet"),
        pytest.param(scripted_decoder.CORRUPT, False, PacketLost(1, "undecodable", CORRUPT), id="a corrupt picture"),
        pytest.param(BROKEN, False, PacketLost(1, "undecodable", "made to be refused"), id="refused"),
        pytest.param(SILENT, False, PacketLost(1, "undecodable", "no picture came out of it"), id="nothing"),
    ],
)
def test_what_becomes_of_a_packet_without_a_picture(
    decoders: Opened, data: bytes, discard: bool, becomes: PacketOutcome
) -> None:
    intake = Intake(head(), slots=4)

    found = run(intake, [packet(0), packet(1, data, discard=discard), packet(2)])

    assert [outcome for outcome in found if not isinstance(outcome, PictureCame)] == [becomes]
    assert [outcome.packet.number for outcome in found if isinstance(outcome, PictureCame)] == [0, 2]
    assert decoders[0].held == set()


@pytest.mark.usefixtures("decoders")
def test_a_picture_comes_with_its_packet_without_the_data() -> None:
    sent = packet(3, key=True)
    untimed = Packet(number=4, data=SHOWN)

    came, other = run(Intake(head(), slots=4), [sent, untimed])

    assert isinstance(came, PictureCame) and isinstance(other, PictureCame)
    assert came.packet == Packet(number=3, pts=sent.pts, duration=sent.duration, key=True)
    assert not other.packet.HasField("pts")
    assert came.decoded.number == 3


@pytest.mark.parametrize(
    ("codec", "hides"),
    [("h264", False), ("hevc", False), ("mjpeg", False), ("vp8", True), ("vp9", True), ("av1", True), ("mpeg4", True)],
)
@pytest.mark.usefixtures("decoders")
def test_codecs_that_hide_packets_lose_none_in_silence(codec: str, hides: bool) -> None:
    (outcome,) = run(Intake(head(codec=codec), slots=4), [packet(0, SILENT)])

    assert isinstance(outcome, NeverShown if hides else PacketLost)


@pytest.mark.parametrize("settled", [(), range(20)], ids=["all are waited for", "those before are settled"])
@pytest.mark.usefixtures("decoders")
def test_a_silent_packet_is_lost_once_no_codec_could_still_show_it(settled: Collection[int]) -> None:
    intake, lost_at = Intake(head(), slots=4), []

    for number in range(2 * REORDER):
        intake.send(packet(number, SILENT if number == 20 else SHOWN), settled=number in settled)
        lost_at += [number for outcome in take(intake) if isinstance(outcome, PacketLost)]

    assert lost_at == [20 + REORDER + 1]
    assert not list(intake.silent())


def test_what_was_settled_earlier_is_decoded_and_passed_over(decoders: Opened) -> None:
    packets = [packet(0), packet(1, BROKEN), packet(2, scripted_decoder.CORRUPT), packet(3, SILENT), packet(4)]

    found = run(Intake(head(), slots=4), packets, settled=range(4))

    assert found[:-1] == [AlreadySettled(0), AlreadySettled(1), AlreadySettled(2)]
    assert isinstance(found[-1], PictureCame)
    assert decoders[0].received == [0, 1, 2, 3, 4]
    assert decoders[0].held == set()


@pytest.mark.parametrize(
    ("deaths", "opens"),
    [
        ({}, True),
        ({NO_PACKET: MAX_OPENED - 1, FAILURES: MAX_FAILURES - 1}, True),
        ({NO_PACKET: MAX_OPENED}, False),
        ({FAILURES: MAX_FAILURES}, False),
        ({7: 100}, True),
    ],
    ids=["none", "few", "idle", "failures", "on one packet"],
)
def test_a_stream_that_made_every_decoder_fail_gets_no_further_one(
    decoders: Opened, deaths: dict[int, int], opens: bool
) -> None:
    intake = Intake(head(), slots=4, deaths=deaths)

    lost, settled = intake.send(packet(0)), intake.send(packet(1), settled=True)

    assert (len(decoders), lost is None, settled) == (opens, opens, None)
    if not opens:
        assert lost is not None and (lost.number, lost.reason) == (0, "undecodable")
        assert (intake.full, intake.free, intake.busy, intake.suspect, intake.done) == (False, 0, False, None, True)
        assert not list(intake.outcomes(0))
        assert not list(intake.silent())


@pytest.mark.parametrize("died", range(MAX_DEATHS + 2))
def test_a_packet_that_killed_two_decoders_is_given_to_no_third(decoders: Opened, died: int) -> None:
    intake = Intake(head(), slots=4, deaths={1: died})

    found = run(intake, [packet(0), packet(1), packet(2)])

    lost = [outcome for outcome in found if isinstance(outcome, PacketLost)]
    assert [(loss.number, loss.reason) for loss in lost] == ([(1, "decoder_died")] if died >= MAX_DEATHS else [])
    assert decoders[0].received == ([0, 2] if died >= MAX_DEATHS else [0, 1, 2])


@pytest.mark.usefixtures("decoders")
def test_a_dead_decoder_leaves_its_suspect() -> None:
    intake = Intake(head(), slots=4)
    for number, data in enumerate([SHOWN, FATAL, SHOWN]):
        intake.send(packet(number, data))

    (came,) = intake.outcomes(0)

    assert isinstance(came, PictureCame)
    with pytest.raises(FrameError, match="died"):
        list(intake.outcomes(0))
    assert intake.suspect == 1


def test_pictures_are_taken_one_at_a_time_and_the_rest_waits(decoders: Opened) -> None:
    intake = Intake(head(), slots=4)
    for number in range(3):
        intake.send(packet(number))

    taken = [len(list(intake.outcomes(0.5, max_pictures=1))) for _ in range(4)]

    assert taken == [1, 1, 1, 0]
    assert decoders[0].waited_s == [0.5, 0, 0, 0.5]  # nobody waits for a child while a picture lies there


def test_it_is_full_while_as_many_packets_are_under_way_or_wait_as_pictures(decoders: Opened) -> None:
    intake, full = Intake(head(), slots=UNDER_WAY), []

    for number in range(UNDER_WAY):
        full.append(intake.full)
        intake.send(packet(number))
    full.append(intake.full)
    list(intake.outcomes(0, max_pictures=1))
    full.append(intake.full)
    intake.send(packet(UNDER_WAY))
    full.append(intake.full)

    assert full == [*[False] * UNDER_WAY, True, False, True]
    assert decoders[0].under_way == 1


@pytest.mark.usefixtures("decoders")
def test_it_is_busy_until_all_that_was_sent_came_out() -> None:
    intake = Intake(head(), slots=4)

    assert (intake.busy, intake.decodes) == (False, False)
    intake.send(packet(0))
    intake.send(packet(1))
    assert (intake.busy, intake.suspect) == (True, 0)
    intake.finish()
    next(intake.outcomes(0, max_pictures=1))
    assert (intake.busy, intake.suspect, intake.done, intake.decodes) == (True, None, False, True)
    list(intake.outcomes(0))
    assert (intake.busy, intake.done) == (False, True)


def test_cpu_time_is_counted_once(decoders: Opened) -> None:
    intake = Intake(head(), slots=4)

    decoders[0].cpu_ms = 5.0
    first, again = intake.take_cpu_ms(), intake.take_cpu_ms()
    decoders[0].cpu_ms = 7.5

    assert (first, again, intake.take_cpu_ms()) == (5.0, 0.0, 2.5)
    intake.close()
    assert intake.take_cpu_ms() == 0.0


def test_closing_twice_closes_once(decoders: Opened) -> None:
    intake = Intake(head(), slots=4)
    intake.send(packet(0))

    intake.close()
    intake.close()

    assert decoders[0].closed
    assert (intake.free, intake.busy, intake.done) == (0, False, True)


KINDS = st.sampled_from([SHOWN, SHOWN, scripted_decoder.CORRUPT, BROKEN, SILENT])


@given(st.lists(st.tuples(KINDS, st.booleans(), st.booleans()), max_size=50), st.sampled_from(["h264", "vp9"]))
def test_whatever_happens_each_packet_is_accounted_for_once(script: list[tuple[bytes, bool, bool]], codec: str) -> None:
    packets = [packet(number, data, discard=discard) for number, (data, discard, _) in enumerate(script)]
    settled = {number for number, (_, _, is_settled) in enumerate(script) if is_settled}

    with scripted_decoders() as opened:
        found = run(Intake(head(codec=codec), slots=4), packets, settled=settled)

    numbers = Counter(
        outcome.packet.number if isinstance(outcome, PictureCame) else outcome.number
        for outcome in found
        if not isinstance(outcome, AlreadySettled)
    )
    assert numbers == Counter(set(range(len(script))) - settled)
    came = [outcome.packet.number for outcome in found if isinstance(outcome, PictureCame)]
    assert came == [
        number
        for number, (data, discard, is_settled) in enumerate(script)
        if data == SHOWN and not discard and not is_settled
    ]
    assert opened[0].held == set()


# -- with the real one ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("h264_plain", {}),
        ("edit_list", {NeverShown: 12}),
        ("no_keyframe_start", {PacketLost: 18}),
    ],
)
def test_a_real_decoder_is_read_to_the_end(clips: Clips, name: str, without: dict[type[PacketOutcome], int]) -> None:
    clip = clips(name)
    source, packets = demux(clip.path)

    found = run(Intake(source, slots=6), packets)

    assert Counter(type(outcome) for outcome in found) == {PictureCame: len(clip.numbers), **without}
    assert len(packets) == len(clip.numbers) + sum(without.values())
