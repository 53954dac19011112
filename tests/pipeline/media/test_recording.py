"""Recordings can be read while they grow, and cut where they are whole."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.live.splicer import Splicer
from pipeline.media import DiskError, Recording, cut_recording, is_finished
from pipeline.media.new_file import NewFile
from pipeline.wire import Head, Packet
from tests.pipeline.live.masked_streams import numbers_in, records_of

GROUPS = [range(20), range(20, 40), range(40, 50)]
SIZE = (160, 120)
"""Large enough for a cluster of Matroska to end at a keyframe."""


@pytest.fixture(scope="module")
def packets() -> list[tuple[Head | None, Packet, Fraction]]:
    splicer = Splicer()
    records = records_of(*GROUPS, sizes=[SIZE] * len(GROUPS))
    return [spliced for record in records for spliced in splicer.take(record)]


def whole_recording(path: Path, packets: list[tuple[Head | None, Packet, Fraction]]) -> Recording:
    """With all packets, not completed yet."""
    *_, recording = recorded(path, packets)
    return recording


def recorded(path: Path, packets: list[tuple[Head | None, Packet, Fraction]]) -> Iterator[Recording]:
    """Yields after each packet."""
    head = packets[0][0]
    assert head is not None
    recording = Recording(path, head)
    for _, packet, shift in packets:
        recording.write(packet, shift=shift)
        yield recording


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_it_can_be_read_while_it_grows(
    tmp_path: Path, packets: list[tuple[Head | None, Packet, Fraction]], suffix: str
) -> None:
    path = tmp_path / f"door{suffix}"

    readable = []
    for recording in recorded(path, packets):
        if recording.pictures in (25, 45):
            readable.append(numbers_in(path))
            assert recording.whole([0, 20, 40]).pictures == len(readable[-1])
    recording.close()

    assert readable == [list(range(20)), list(range(40))]
    assert numbers_in(path) == list(range(50))
    assert is_finished(path, recording_identity(path))


def recording_identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_what_is_cut_is_whole_up_to_there(
    tmp_path: Path, packets: list[tuple[Head | None, Packet, Fraction]], suffix: str
) -> None:
    path = tmp_path / f"door{suffix}"
    recording = whole_recording(path, packets)
    whole = recording.whole([0, 20, 40])
    recording.abort()  # as if it had been killed
    grown = path.stat().st_size

    assert cut_recording(path, recording_identity(path), whole.size) == (whole.pictures > 0)

    assert whole.size <= grown
    assert whole.pictures in ((40,) if suffix != ".mkv" else (0, 20, 40))
    assert not path.exists() if not whole.pictures else numbers_in(path) == list(range(whole.pictures))


def test_what_is_complete_is_never_cut(tmp_path: Path, packets: list[tuple[Head | None, Packet, Fraction]]) -> None:
    whole_recording(tmp_path / "door.mp4", packets).close()
    identity = recording_identity(tmp_path / "door.mp4")

    assert cut_recording(tmp_path / "door.mp4", identity, 3000)

    assert numbers_in(tmp_path / "door.mp4") == list(range(50))


def test_another_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    path, other = tmp_path / "door.mp4", tmp_path / "other"
    other.write_bytes(b"somebody's")
    path.symlink_to(other)

    assert not cut_recording(path, recording_identity(other), 0)
    assert not cut_recording(tmp_path / "gone", (1, 2), 0)
    path.unlink()
    path.write_bytes(b"another")
    assert not cut_recording(path, (1, 2), 3)

    assert (other.read_bytes(), path.read_bytes()) == (b"somebody's", b"another")


@pytest.mark.parametrize("room", [500, 3000, 4500, 6300, 9000])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_full_disk_leaves_a_file_that_is_whole_up_to_a_keyframe_or_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    packets: list[tuple[Head | None, Packet, Fraction]],
    suffix: str,
    room: int,
) -> None:
    write = NewFile.write

    def limited(file: NewFile, data: bytes) -> int:
        if file.tell() + len(data) <= room:
            return write(file, data)
        write(file, bytes(data)[: max(0, room - file.tell())])
        file.error = OSError(errno.ENOSPC, "No space left on device")
        raise file.error

    monkeypatch.setattr(NewFile, "write", limited)
    path, recording = tmp_path / f"door{suffix}", None

    with pytest.raises(DiskError, match="No space left on device"):
        for recording in recorded(path, packets):  # noqa: B007
            pass
        assert recording is not None
        recording.close()

    if recording is None:
        assert not path.exists()
        return
    whole = recording.whole([0, 20, 40])
    recording.cut(whole.size)
    assert numbers_in(path) == list(range(whole.pictures)) if whole.pictures else not path.exists()
