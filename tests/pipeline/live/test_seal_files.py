"""Beside each file lie the seals of the frames that it shows and of no others, whoever dies or has no room then."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engines import StreamError
from pipeline.brokers import SEALED, Broker
from pipeline.config import SealSection
from pipeline.live import recorder, seal_files, sinks
from pipeline.live.outputs import seal_file_of
from pipeline.live.recorder import Recorder
from pipeline.live.resume import ResumePoint
from pipeline.live.shown_frames import ShownFrames
from pipeline.live.written import Written
from pipeline.sealing.container import SealWriter, open_seals
from pipeline.sealing.keyring import destroy
from pipeline.wire import End, Head, Ledger, StreamRecord
from tests.pipeline.live.crash import Crash, die_around_saves, die_before_frame
from tests.pipeline.live.masked_streams import (
    SOURCE,
    STREAM,
    feed,
    grey,
    live,
    numbers_in,
    opened,
    publish,
    records_of,
    store,
    taken,
)
from tests.pipeline.live.sealed_streams import inside, keys_in, publish_sealed, recovered

END = [StreamRecord(end=End(ledger=Ledger(packets=50, shown=50)))]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORE_S", "ROOM_PAUSE_S"):
        monkeypatch.setattr(recorder, name, 0.01 if name == "ROOM_PAUSE_S" else 0)
    monkeypatch.setattr(seal_files, "READ_S", 0.01)
    monkeypatch.setattr(seal_files, "PATIENCE_S", 0.05)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = store(tmp_path / "store")
    yield broker
    broker.close()


@pytest.fixture
def settings(tmp_path: Path) -> SealSection:
    return keys_in(tmp_path)


def recorded(
    broker: Broker, folder: Path, settings: SealSection, tell: Callable[[str], Any] = lambda _: None
) -> Written:
    return Recorder(broker, STREAM, folder / "door.mp4", lambda: False, tell, settings).record()


def sealed_in(video: Path | str) -> list[tuple[int, int]]:
    """Epoch and index of each seal beside a video."""
    with open_seals(seal_file_of(Path(video))) as seals:
        assert [index for first, count in seals.shown for index in range(first, first + count)] == numbers_in(video)
        return [(entry.epoch, entry.frame) for entry in seals.entries]


def assert_whole(folder: Path, settings: SealSection, written: Written) -> None:
    """Every frame once, each part with the seals of its own frames; and the last part comes back."""
    frames = [frame for file in written.files for _, frame in sealed_in(file)]
    assert sorted(frames) == list(range(50))
    assert all([frame for _, frame in sealed_in(file)] == numbers_in(file) for file in written.files)
    assert {path.name for path in folder.glob("*.seal")} == {f"{Path(file).name}.seal" for file in written.files}
    assert not list(folder.glob(".*.seal*"))
    last = Path(written.files[-1])
    recovered(last, settings, folder / "back.mkv")
    with av.open(str(folder / "back.mkv")) as container:
        for number, frame in zip(numbers_in(last), container.decode(video=0), strict=True):
            luma = frame.to_ndarray()[: frame.height]
            assert np.array_equal(inside(luma), inside(grey(number).planes[0]))


def test_each_part_of_a_recording_has_its_seals(broker: Broker, tmp_path: Path, settings: SealSection) -> None:
    records = live(range(10), range(10, 20), range(20, 35), range(35, 50), pauses_s=(5, 100, 5))
    publish_sealed(broker, [*records, *END], settings)

    written = recorded(broker, tmp_path, settings)

    assert [len(sealed_in(file)) for file in written.files] == [20, 30]
    assert_whole(tmp_path, settings, written)
    reader = broker.reader(SEALED, STREAM)
    assert len(reader.read(0)) == 30, "what is in a file is deleted from the broker"
    reader.close()


def test_a_part_is_shorter_where_its_seals_wait_for_its_end(
    broker: Broker, tmp_path: Path, settings: SealSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LONGEST_SEALED_PART_S", 0.5)
    publish_sealed(broker, [*live(range(20), range(20, 40), range(40, 50)), *END], settings)

    written = recorded(broker, tmp_path, settings)

    assert [len(sealed_in(file)) for file in written.files] == [20, 20, 10]


def taken_over(live_source: bool = True) -> list[StreamRecord]:
    """Of a worker that died 11 frames after what it had committed, and of its heir, who does them again."""
    former = opened(low_latency=True)
    feed(former, range(31))
    point = ResumePoint(source=SOURCE, next_index=20)
    heir = opened(point, low_latency=True)
    feed(heir, range(20, 50))
    records = [*taken(former), *taken(heir)]
    for record in records:
        if record.HasField("head"):
            record.head.live = live_source
    return records


def test_a_frame_that_was_sent_twice_has_the_seal_of_the_one_that_is_shown(
    broker: Broker, tmp_path: Path, settings: SealSection
) -> None:
    publish_sealed(broker, [*taken_over(), *END], settings)

    written = recorded(broker, tmp_path, settings)

    (file,) = written.files
    assert sealed_in(file) == [*((0, number) for number in range(31)), *((1, number) for number in range(31, 50))]
    assert_whole(tmp_path, settings, written)


def test_so_has_one_in_a_file(broker: Broker, tmp_path: Path, settings: SealSection) -> None:
    publish_sealed(broker, [*taken_over(live_source=False), *END], settings)

    written = sinks.write_file(broker, STREAM, str(tmp_path / "walk.mp4"), settings)

    (file,) = written.files
    assert sealed_in(file)[30:32] == [(0, 30), (1, 31)]


def test_each_file_of_a_source_that_changes_its_size_has_its_seals(
    broker: Broker, tmp_path: Path, settings: SealSection
) -> None:
    records = records_of(range(20), range(20, 50), sizes=[(64, 48), (32, 48)])
    publish_sealed(broker, records, settings)

    written = sinks.write_file(broker, STREAM, str(tmp_path / "walk.mp4"), settings)

    assert [Path(file).name for file in written.files] == ["walk.mp4", "walk.2.mp4"]
    assert [sealed_in(file) for file in written.files] == [
        [(0, number) for number in range(20)], [(1, number) for number in range(20, 50)],
    ]  # fmt: skip


# -- who dies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dies_at", [0, 3, 19, 20, 39, 41, 49])
def test_a_recorder_that_is_killed_leaves_no_frame_without_its_seal(
    broker: Broker, tmp_path: Path, settings: SealSection, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    publish_sealed(broker, [*live(range(20), range(20, 40), range(40, 50)), *END], settings)
    left = die_before_frame(monkeypatch, dies_at)
    with pytest.raises(Crash):
        recorded(broker, tmp_path, settings)
    left.clear()

    assert_whole(tmp_path, settings, recorded(broker, tmp_path, settings))


@pytest.mark.parametrize("call", range(8))
def test_it_may_die_whenever_it_stores(
    broker: Broker, tmp_path: Path, settings: SealSection, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    sizes = [(64, 48), (32, 48), (64, 48)]
    publish_sealed(broker, [*live(range(20), range(20, 40), range(40, 50), sizes=sizes), *END], settings)
    die_around_saves(monkeypatch, call)
    for _ in range(2):
        with pytest.raises(Crash):
            recorded(broker, tmp_path, settings)

    recorded(broker, tmp_path, settings)

    videos = [path for path in sorted(tmp_path.glob("door*.mp4")) if path.stat().st_size]
    assert sorted(frame for video in videos for _, frame in sealed_in(video)) == list(range(50))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("of_file", [True, False], ids=["file", "recording"])
def test_it_may_die_whenever_seals_get_their_name(
    broker: Broker,
    tmp_path: Path,
    settings: SealSection,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    part: int,
    of_file: bool,
) -> None:
    sizes = [(64, 48), (32, 48)]
    records = live(range(20), range(20, 50), sizes=sizes)
    publish_sealed(broker, [*records, *END], settings)
    publish_name, calls, dead = seal_files._publish, iter(range(1000)), list[int]()

    def dying(new: Path, target: Path, *, overwrite: bool) -> None:
        if dead or next(calls) != part:
            publish_name(new, target, overwrite=overwrite)
            return
        dead.append(part)
        if when == "after":
            publish_name(new, target, overwrite=overwrite)
        raise Crash

    def once() -> Written:
        if of_file:
            return sinks.write_file(broker, STREAM, str(tmp_path / "door.mp4"), settings)
        return recorded(broker, tmp_path, settings)

    monkeypatch.setattr(seal_files, "_publish", dying)
    with pytest.raises(Crash):
        once()

    written = once()

    assert [len(sealed_in(file)) for file in written.files] == [20, 30]
    assert len(list(tmp_path.glob("*.seal"))) == 2


def test_the_seals_of_a_file_that_is_written_again_go_with_it_and_no_others(tmp_path: Path) -> None:
    videos = [tmp_path / "own.mp4", tmp_path / "replaced.mp4"]
    for video in videos:
        video.write_bytes(b"video")
        seal_file_of(video).write_bytes(b"seals")
    published = [[str(video), list(sinks._identity(video))] for video in videos]
    videos[1].unlink()
    videos[1].write_bytes(b"of somebody else")

    sinks._remove_former({"parts": [], "published": published})

    assert [path.name for path in sorted(tmp_path.iterdir())] == ["replaced.mp4", "replaced.mp4.seal"]


# -- what goes wrong -----------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_the_seals_come_later(
    broker: Broker, tmp_path: Path, settings: SealSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_sealed(broker, [*live(range(20), range(20, 50), pauses_s=(100,)), *END], settings)
    monkeypatch.setattr(recorder, "has_room", lambda _: True)
    add, full, said = SealWriter.add, [3], list[str]()

    def no_room(writer: SealWriter, seal: Any) -> None:
        if full and seal.index == full[0]:
            full.pop()
            error = OSError(errno.ENOSPC, "No space left on device")
            raise StreamError(f"{writer.path}: cannot be written ({error.strerror})") from error
        add(writer, seal)

    monkeypatch.setattr(SealWriter, "add", no_room)

    written = recorded(broker, tmp_path, settings, said.append)

    assert len(said) == 1 and "No space left on device); what is masked waits for room" in said[0]
    assert_whole(tmp_path, settings, written)


def test_a_file_of_that_name_does_not_end_a_recording_and_is_tried_again(
    broker: Broker, tmp_path: Path, settings: SealSection
) -> None:
    publish_sealed(broker, [*live(range(20), range(20, 50), pauses_s=(100,)), *END], settings)
    in_the_way = tmp_path / "door_20260506T070809Z.mp4.seal"
    in_the_way.write_bytes(b"of a video that was deleted")
    said: list[str] = []

    with pytest.raises(StreamError, match="is there already, with the seals of another video; move it away"):
        recorded(broker, tmp_path, settings, said.append)
    assert "the seals are kept, and tried again" in said[0]
    assert len(list(tmp_path.glob("door*.mp4"))) == 2, "the recording went on"
    in_the_way.unlink()

    assert_whole(tmp_path, settings, recorded(broker, tmp_path, settings))


def test_seals_that_are_missing_are_told_of_and_nothing_is_called_whole(
    broker: Broker, tmp_path: Path, settings: SealSection
) -> None:
    records = records_of(range(10))
    for record in records:
        if record.HasField("packet"):
            record.packet.seals = 1
    publish(broker, records)

    with pytest.raises(StreamError, match="10 of 10 seals are missing"):
        sinks.write_file(broker, STREAM, str(tmp_path / "walk.mp4"), settings)

    assert not list(tmp_path.glob("*.seal"))


def test_a_destroyed_key_period_is_said_in_a_sentence(broker: Broker, tmp_path: Path, settings: SealSection) -> None:
    publish_sealed(broker, records_of(range(10)), settings)
    destroy(Path(settings.keyring), 1, "a test")

    with pytest.raises(StreamError, match=r"walk\.mp4\.seal: seals cannot be written: .* was destroyed"):
        sinks.write_file(broker, STREAM, str(tmp_path / "walk.mp4"), settings)


def test_nothing_is_written_where_nothing_is_sealed(broker: Broker, tmp_path: Path) -> None:
    publish(broker, [*live(range(20), range(20, 50)), *END])

    written = recorded(broker, tmp_path, SealSection())

    assert numbers_in(written.files[0]) == list(range(50))
    assert not list(tmp_path.glob("*.seal"))


def test_what_waits_is_stored() -> None:
    part = seal_files.SealedPart(Path("a.mp4"), Head(time_base=SOURCE.time_base).time_base, ShownFrames())

    assert seal_files.SealedPart.from_values(part.to_values()).to_values() == part.to_values()
