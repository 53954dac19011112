"""`NAME.seal`: written once, gone on with after a crash; whatever is done to it afterwards is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import ConfigError, StreamError
from pipeline.sealing import NotAuthentic, RecoveryRefused, private
from pipeline.sealing.container import MAGIC, SealWriter, open_seals, sha256_of_file
from pipeline.sealing.keys import StreamKeys
from pipeline.sealing.seal import SealedFace, open_seal, seal_face
from pipeline.wire import Seal, SealFileHead
from tests.pipeline.sealing.clip import draw

KEYS = StreamKeys(bytes(32), stream="cam", key_id="00000000", keyring="aa" * 16, period=1)
HEAD = SealFileHead(version=1, stream="cam", source="walk.mp4")


def seal(index: int) -> Seal:
    face = SealedFace(epoch=1, index=index, pts=index * 40, track=index % 2, style="solid")
    return seal_face(KEYS, draw("yuv420p", index, 16, 16), (2, 2, 8, 8), face)


SEALS = [seal(index) for index in range(4)]


def written(folder: Path, seals: Sequence[Seal] = SEALS) -> Path:
    video = folder / "walk.mp4"
    video.write_bytes(b"a video")
    with SealWriter(folder / "walk.seal", HEAD) as writer:
        for each in seals:
            writer.add(each)
        writer.finish(KEYS, video, [(0, 3), (7, 1)])
    return folder / "walk.seal"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("whole")).read_bytes()


def check(path: Path) -> list[Seal]:
    """Reads it as a recovery does."""
    with open_seals(path) as seals:
        seals.require(KEYS, sha256_of_file(path.with_name("walk.mp4")))
        return [seals.read(entry) for entry in seals.entries]


def test_what_was_added_is_read_in_order(tmp_path: Path) -> None:
    path = written(tmp_path)

    with open_seals(path) as seals:
        assert (seals.head, seals.shown) == (HEAD, [(0, 3), (7, 1)])
        assert [(entry.frame, entry.track, entry.pts) for entry in seals.entries] == [
            (n, n % 2, n * 40) for n in range(4)
        ]
        backwards = [seals.read(entry) for entry in reversed(seals.entries)]
    assert backwards == SEALS[::-1] and check(path) == SEALS
    assert open_seal(KEYS, backwards[0]) and path.stat().st_mode & 0o777 == 0o600


def test_a_video_without_faces(tmp_path: Path) -> None:
    assert check(written(tmp_path, [])) == []


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_bit_that_is_flipped_is_found(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    (tmp_path / "walk.seal").write_bytes(changed)

    with pytest.raises(NotAuthentic):
        open_seals(tmp_path / "walk.seal")


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_cut_off_is_not_opened_and_can_be_gone_on_with(
    tmp_path: Path, whole: bytes, data: st.DataObject
) -> None:
    """A writer that was killed anywhere goes on where the last whole record ends."""
    path = tmp_path / "walk.seal"
    path.unlink(missing_ok=True)
    (tmp_path / "walk.mp4").write_bytes(b"a video")
    length = data.draw(st.integers(len(MAGIC), len(whole) - 1))
    path.write_bytes(whole[:length] + bytes(data.draw(st.integers(0, 99))))
    path.chmod(0o600)

    with pytest.raises(NotAuthentic, match=r"cut off|was changed"):
        open_seals(path)
    try:
        with SealWriter.resume(path) as writer:
            for each in SEALS[writer.count :]:
                writer.add(each)
            writer.finish(KEYS, tmp_path / "walk.mp4", [(0, 3), (7, 1)])
    except NotAuthentic as error:
        # Before the head was there; or zeros that fill the gap are taken for what it is not, which no disk does.
        assert "ends before it begins" in str(error) or path.stat().st_size > length
    else:
        assert check(path) == SEALS


def records(data: bytes) -> list[bytes]:
    found, at = [], len(MAGIC)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big") + 5 + 32
        found.append(data[at : at + length])
        at += length
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda r: [r[0], r[2], r[1], *r[3:]], lambda r: [r[0], *r[2:]], lambda r: r[:3] + r[2:], lambda r: r[1:],
        lambda r: [*r, r[1]], lambda r: [r[0], r[0], *r[1:]], lambda r: [*r, r[-1]], lambda r: r[:-1], lambda _: [],
        lambda r: [b"\0\0\0\1\x09x" + bytes(32), *r],
    ],
    ids=["swapped", "left out", "doubled", "no head", "behind the end", "two heads", "two ends", "no end", "empty",
         "put in"],
)  # fmt: skip
def test_records_that_are_not_as_they_were(
    tmp_path: Path, whole: bytes, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    (tmp_path / "walk.seal").write_bytes(MAGIC + b"".join(change(records(whole))))

    with pytest.raises(NotAuthentic):
        open_seals(tmp_path / "walk.seal")


def test_who_has_no_key_cannot_put_a_file_together(tmp_path: Path) -> None:
    """Leaving a seal out, and computing the chain anew, as anybody can."""
    path = written(tmp_path)
    path.rename(tmp_path / "theirs.seal")
    stranger = StreamKeys(b"1" * 32, stream="cam", key_id="00000000", keyring="aa" * 16, period=1)
    with SealWriter(path, HEAD) as writer:
        writer.add(SEALS[1])
        writer.finish(stranger, tmp_path / "walk.mp4", [(0, 3), (7, 1)])

    with pytest.raises(NotAuthentic, match="is not authentic"):
        check(path)


def test_another_video(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "walk.mp4").write_bytes(b"a Video")

    with pytest.raises(NotAuthentic, match="belongs to another video"):
        check(path)


def test_a_finished_file_is_not_added_to(tmp_path: Path) -> None:
    path = written(tmp_path)

    with pytest.raises(RecoveryRefused, match="is finished"):
        SealWriter.resume(path)
    with pytest.raises(ConfigError, match="is there already"):
        SealWriter(path, HEAD)
    assert check(path) == SEALS


def test_a_changed_file_is_not_gone_on_with(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "walk.seal"
    changed = bytearray(b"".join([MAGIC, *records(whole)[:-1]]))
    changed[-40] ^= 1
    path.write_bytes(changed)
    path.chmod(0o600)

    with pytest.raises(NotAuthentic, match="was changed"):
        SealWriter.resume(path)
    assert path.read_bytes() == changed


def test_one_writer_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "LOCK_WAIT_S", 0.1)
    with SealWriter(tmp_path / "walk.seal", HEAD) as writer:
        writer.add(SEALS[0])
        writer.flush()
        with pytest.raises(ConfigError, match="another process"):
            SealWriter.resume(tmp_path / "walk.seal")


def test_seals_of_other_streams_have_files_of_their_own(tmp_path: Path) -> None:
    with (
        SealWriter(tmp_path / "walk.seal", SealFileHead(stream="another")) as writer,
        pytest.raises(StreamError, match="holds seals of another, got one of cam"),
    ):
        writer.add(SEALS[0])


@pytest.mark.parametrize("name", ["nothing", ".", "pipe", "text", "empty"])
def test_what_is_no_file_of_seals(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()

    with pytest.raises((ConfigError, NotAuthentic)):
        open_seals(tmp_path / name)
