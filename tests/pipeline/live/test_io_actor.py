"""What reads sources and writes results: each call has a broker of its own, and is repeated when that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import chaos
from pipeline.brokers import INGEST, PACKETS, Broker, BrokerError, open_broker
from pipeline.config import Config, Step
from pipeline.live.io_actor import IoActor
from pipeline.live.sources import VideoSource
from pipeline.live.worker import Worker
from pipeline.live.written import Written
from pipeline.wire import End, IngestState, StreamRecord

CONFIG = Config(steps=[Step(use="detect.zones", options={"boxes": []})])
CAMERA = VideoSource("clip", "rtsp://127.0.0.1:9/nobody", True, "camera")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/facewarden.db"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each broker that the actor has opened was closed again. The first of them does not answer."""
    closed: list[bool] = []

    class Watched:
        def __init__(self, broker: Broker, number: int) -> None:
            self._broker, self._number = broker, number

        def __getattr__(self, name: str) -> Any:
            return getattr(self._broker, name)

        def writer(self, name: str) -> Any:
            if self._number == 0:
                raise BrokerError("no answer")
            return self._broker.writer(name)

        def close(self) -> None:
            closed[self._number] = True
            self._broker.close()

    def watched(url: str, **options: str) -> Watched:
        closed.append(False)
        return Watched(open_broker(url, **options), len(closed) - 1)

    monkeypatch.setattr("pipeline.live.io_actor.open_broker", watched)
    monkeypatch.setattr("pipeline.brokers.retry.BROKER_PAUSE_S", 0)
    return closed


def records(url: str) -> list[str]:
    broker = open_broker(url)
    reader = broker.reader(PACKETS, "clip")
    kinds = [str(StreamRecord.FromString(record.value).WhichOneof("body")) for record in reader.read(0)]
    reader.close()
    broker.close()
    return kinds


def test_a_source_is_read_even_if_the_broker_fails_at_first(tmp_path: Path, url: str, opened: list[bool]) -> None:
    clip = tmp_path / "clip.mp4"
    chaos.make_clip(clip, 3, gop=3)

    IoActor(url, {}, CONFIG).ingest(VideoSource("clip", str(clip), False, clip.name))

    assert records(url) == ["head", "packet", "packet", "packet", "end"]
    assert opened == [True, True]


def test_a_camera_that_was_stopped_ends_in_order(url: str) -> None:
    actor = IoActor(url, {}, CONFIG)

    actor.stop()
    actor.ingest(CAMERA)

    broker = open_broker(url)
    state = IngestState.FromString(broker.latest(INGEST, "clip") or b"")
    broker.close()
    assert state.ended
    assert records(url) == ["end"]


@pytest.mark.parametrize(
    ("write", "result"),
    [
        (lambda actor, path: actor.write_file("clip", path), ()),
        (lambda actor, _: actor.push("clip", "rtsp://127.0.0.1:9/nobody", "the wall"), ("the wall",)),
        (lambda actor, path: actor.write_verdicts("clip", path, "the door"), "path"),
    ],
    ids=["file", "push", "verdicts"],
)
def test_results_are_written(
    tmp_path: Path, url: str, write: Callable[[IoActor, str], Written | str], result: tuple[str, ...] | str
) -> None:
    actor, path = IoActor(url, {}, CONFIG), str(tmp_path / "out.mp4")
    actor.stop()
    actor.ingest(CAMERA)
    work_to_the_end(url)

    written = write(actor, path)

    if isinstance(written, Written):
        assert written.files == result
        assert End.FromString(written.end).ledger.packets == 0
    else:
        assert written == path
        (line,) = Path(path).read_text().splitlines()
        assert (json.loads(line)["stream"], json.loads(line)["type"]) == ("the door", "end")


def work_to_the_end(url: str) -> None:
    worker, broker = Worker(url, {}, "group", "worker", CONFIG), open_broker(url)
    member = broker.member("group", "worker")
    while not worker.streams:
        worker.turn(member)
    while worker.streams:
        worker.turn(member)
    member.close()
    broker.close()
