"""The preview shows what leaves, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.brokers import PACKETS, Broker
from pipeline.live.preview import PreviewWindow, masked_pictures
from pipeline.live.resume import ResumePoint
from pipeline.wire import End, Packet, StreamRecord
from tests.pipeline.live.masked_streams import (
    SOURCE,
    STREAM,
    feed,
    number_of,
    opened,
    publish,
    records_of,
    store,
    taken,
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = store(tmp_path / "store")
    yield broker
    broker.close()


def shown(broker: Broker) -> list[tuple[int, tuple[int, ...]]]:
    """The number of each picture, and its shape; BGR spans 0 to 255 where luma spans 16 to 235."""
    pictures = masked_pictures(broker, STREAM)
    return [(number_of(16 + float(picture.mean()) * 219 / 255), picture.shape) for picture in pictures]


def test_all_masked_pictures_are_shown(broker: Broker) -> None:
    publish(broker, records_of(range(30, 40)), topic=PACKETS)  # what came in is not looked at
    publish(broker, records_of(range(12), range(12, 20)))

    assert shown(broker) == [(number, (48, 64, 3)) for number in range(20)]


def test_a_new_size_is_shown_at_its_size(broker: Broker) -> None:
    publish(broker, records_of([1, 2], [3, 4], sizes=((64, 48), (32, 16))))

    assert shown(broker)[-2:] == [(3, (16, 32, 3)), (4, (16, 32, 3))]


def test_what_two_owners_overlap_in_is_shown_once(broker: Broker) -> None:
    former = opened(low_latency=True)
    feed(former, range(8))
    heir = opened(ResumePoint(source=SOURCE, next_index=5), low_latency=True)
    feed(heir, range(5, 12))
    heir.end(End())
    publish(broker, taken(former) + taken(heir))

    assert [number for number, _ in shown(broker)] == list(range(12))


def test_sound_is_not_given_to_the_decoder(broker: Broker) -> None:
    head, *frames, end = records_of(range(4))
    head.head.audio.add(track=1, codec="aac")
    picture = records_of([40])[1].packet.data  # what a decoder would show
    noise = StreamRecord(packet=Packet(track=1, number=9, dts=0, key=True, data=picture))
    publish(broker, [head, frames[0], noise, *frames[1:], end])

    assert [number for number, _ in shown(broker)] == list(range(4))


def test_a_stream_of_nothing_ends_the_preview(broker: Broker) -> None:
    publish(broker, [StreamRecord(end=End())])

    assert shown(broker) == []


def test_a_window_is_a_process_that_goes_when_it_is_closed_and_names_no_password(tmp_path: Path) -> None:
    store(tmp_path).close()
    window = PreviewWindow(f"sqlite://{tmp_path}/store.db", {"busy_s": "77.125"}, STREAM, "door")
    process = psutil.Process(window._process.pid)

    arguments = process.cmdline()
    window.close()

    assert not any("77.125" in argument for argument in arguments)
    assert window._process.returncode < 0  # it was killed


def test_a_window_goes_with_the_run_that_opened_it(tmp_path: Path) -> None:
    store(tmp_path).close()
    window = PreviewWindow(f"sqlite://{tmp_path}/store.db", {}, STREAM, "door")
    assert window._process.stdin is not None

    window._process.stdin.close()  # as the end of the run closes it, whatever way it ends
    deadline = time.monotonic() + 30
    while window._process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert window._process.returncode == 0
