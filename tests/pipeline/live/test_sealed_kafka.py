"""A recording and its seals over a real Kafka, which deletes nothing by stream and shows topics when it likes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.brokers import Broker, open_broker
from pipeline.live import recorder
from pipeline.live.outputs import seal_file_of
from pipeline.live.recorder import Recorder
from pipeline.sealing.container import open_seals
from pipeline.wire import End, Ledger, StreamRecord
from tests.kafka_node import start_node
from tests.pipeline.live.crash import Crash, die_before_frame
from tests.pipeline.live.masked_streams import STREAM, live, numbers_in
from tests.pipeline.live.sealed_streams import keys_in, publish_sealed, recovered


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    node = start_node(tmp_path_factory.mktemp("kafka"))
    options = {"topic_prefix": f"test.{uuid.uuid4().hex[:8]}.", "partitions": "2"}
    broker = open_broker(f"kafka://{node.servers}", **options)
    yield broker
    broker.close()
    node.stop()


@pytest.mark.kafka
def test_a_recorder_that_is_killed_goes_on_and_every_frame_has_its_seal(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = keys_in(tmp_path)
    end = StreamRecord(end=End(ledger=Ledger(packets=50, shown=50)))
    publish_sealed(broker, [*live(range(20), range(20, 40), range(40, 50)), end], settings)
    monkeypatch.setattr(recorder, "STORE_S", 0)
    left = die_before_frame(monkeypatch, 45)
    record = Recorder(broker, STREAM, tmp_path / "door.mp4", lambda: False, lambda _: None, settings).record
    with pytest.raises(Crash):
        record()
    left.clear()

    again = Recorder(broker, STREAM, tmp_path / "door.mp4", lambda: False, lambda _: None, settings)
    written = again.record()

    assert [number for file in written.files for number in numbers_in(file)] == list(range(50))
    assert len(written.files) == 2
    for file in map(Path, written.files):
        with open_seals(seal_file_of(file)) as seals:
            assert [entry.frame for entry in seals.entries] == numbers_in(file)
    assert recovered(Path(written.files[0]), settings, tmp_path / "back.mkv").faces == len(numbers_in(written.files[0]))
