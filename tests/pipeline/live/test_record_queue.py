"""Records are taken in turn: each packet once, none left out, nothing before an epoch is closed."""

from __future__ import annotations

import pytest

from engines import StreamError
from pipeline.live import record_queue
from pipeline.live.dry_run import record_of
from pipeline.live.record_queue import Hunger, QueuedRecord, RecordQueue
from pipeline.wire import End, Head, Packet, StreamRecord
from tests.pipeline.live.clock import Clock


def video(number: int, *, epoch: int = 0, pts: int | None = None) -> StreamRecord:
    packet = Packet(number=number, epoch=epoch)
    if pts is not None:
        packet.pts = pts
    return StreamRecord(packet=packet)


def sound(number: int, pts: int = 0) -> StreamRecord:
    return StreamRecord(packet=Packet(number=number, track=1, epoch=9, pts=pts))


HEAD, END = StreamRecord(head=Head(codec="h264")), StreamRecord(end=End(reason="over"))


def queue_of(*bodies: StreamRecord, border: int = 0) -> RecordQueue:
    queue = RecordQueue("clip")
    for offset, body in enumerate(bodies):
        queue.add(record_of(offset, body.SerializeToString()), border=border)
    return queue


def numbers(queue: RecordQueue) -> list[int]:
    taken = []
    while (record := queue.peek()) is not None:
        taken.append(record.body.packet.number)
        queue.pop()
    return taken


@pytest.mark.parametrize("first", [0, 3, 5], ids=["the beginning", "before the border", "the border"])
def test_the_first_packet_is_one_that_is_settled_or_follows_those(first: int) -> None:
    queue = queue_of(video(first), sound(first + 1), video(first + 2), border=5)

    assert numbers(queue) == [first, first + 1, first + 2]


@pytest.mark.parametrize(
    ("bodies", "border", "says"),
    [
        pytest.param([video(6)], 5, "packet 6 is out of turn, after packet None", id="the first is after the border"),
        pytest.param([video(0), video(2)], 5, "packet 2 is out of turn, after packet 0", id="one is left out"),
        pytest.param([video(3), video(3)], 5, "packet 3 is out of turn, after packet 3", id="one comes twice"),
        pytest.param([video(3), video(2)], 5, "packet 2 is out of turn, after packet 3", id="one comes back"),
        pytest.param([video(3), sound(5)], 5, "packet 5 is out of turn, after packet 3", id="sound counts too"),
        pytest.param([video(0), HEAD, video(2)], 0, "packet 2 is out of turn, after packet 0", id="a head between"),
    ],
)
def test_a_packet_out_of_turn_ends_this_life(bodies: list[StreamRecord], border: int, says: str) -> None:
    with pytest.raises(StreamError, match=f"clip: {says}"):
        queue_of(*bodies, border=border)


def test_what_is_out_of_turn_is_not_queued() -> None:
    queue = queue_of(video(0))

    with pytest.raises(StreamError):
        queue.add(record_of(1, video(2, pts=80).SerializeToString()), border=0)

    assert numbers(queue) == [0]
    assert queue.newest == (-1, 0)


def test_records_come_out_as_they_went_in_with_where_they_stand() -> None:
    queue = queue_of(HEAD, video(0), END)

    first = queue.peek()

    assert first == QueuedRecord(HEAD, 0, 1)
    queue.pop()
    assert queue.peek() == QueuedRecord(video(0), 1, 2)
    assert queue.peek() == QueuedRecord(video(0), 1, 2)  # until it is popped
    queue.pop()
    assert queue.peek() == QueuedRecord(END, 2, 3)
    queue.pop()
    assert queue.peek() is None


def test_nothing_is_taken_before_the_epoch_is_closed() -> None:
    queue = queue_of(HEAD, video(0))
    head = queue.peek()
    queue.pop()

    queue.closing = head

    assert queue.peek() is None
    assert len(queue) == 2  # a worker must know that there is something to do
    queue.closing = None
    assert (numbers(queue), len(queue)) == ([0], 0)


@pytest.mark.parametrize(
    ("bodies", "newest"),
    [
        pytest.param([HEAD], (-1, 0), id="none yet"),
        pytest.param([video(0, pts=40), video(1, pts=120), video(2, pts=80)], (0, 80), id="the last to come in"),
        pytest.param([video(0, pts=40), sound(1, pts=900)], (0, 40), id="sound does not count"),
        pytest.param([video(0, pts=40), video(1)], (0, 40), id="nor does a packet without a time"),
        pytest.param([video(0, pts=40), HEAD, video(1, epoch=1, pts=0)], (1, 0), id="of a new epoch"),
    ],
)
def test_how_far_the_camera_is(bodies: list[StreamRecord], newest: tuple[int, int]) -> None:
    assert queue_of(*bodies).newest == newest


def test_who_has_nothing_to_do_for_a_while_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(record_queue, "time", clock)
    hunger, queue = Hunger(live_packets=100), RecordQueue("cam")

    def asks(fed: int, border: int = 0, *, live: bool = False, works: bool = False, after_s: float = 0.3) -> bool:
        clock.now += after_s
        queue._fed = fed - 1
        return hunger.asks(queue, border, works=works, live=live)

    assert not asks(9, works=True) and not asks(9) and not asks(9)
    assert asks(9)
    assert not asks(9)  # it was told
    assert asks(12) and not asks(15, border=15)  # nothing waits
    assert not asks(15, works=True) and not asks(16)
    assert not asks(90, live=True, after_s=9) and asks(120, live=True)
