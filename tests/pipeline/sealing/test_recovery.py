"""Faces come back exactly, those of chosen tracks alone; whoever is not entitled gets a sentence and no picture."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engines import ConfigError
from operators.arrays import Array
from operators.frame import Cover, Picture
from operators.paint.geometry import region_of, steps_of, window
from operators.shown import Shown
from pipeline.sealing import NotAuthentic, RecoveryRefused
from pipeline.sealing.container import SealWriter, open_seals
from pipeline.sealing.journal import Journal, JournalEntry
from pipeline.sealing.keyring import Keyring, destroy, new_keyring, read_keyring, rotate
from pipeline.sealing.keys import MasterKey, StreamKeys
from pipeline.sealing.recovery import Recovery, RecoveryRequest, recover
from tests.pipeline.sealing.clip import FRAMES, MaskedClip, overlapping, planes_of, write_clip


@pytest.fixture
def clip(tmp_path: Path, master: MasterKey, keyring: Keyring) -> MaskedClip:
    keys = keyring.stream_keys(master, "cam")
    return write_clip(tmp_path, lambda _: keys)


@pytest.fixture
def ask(tmp_path: Path, master: MasterKey, keyring: Keyring, journal: Journal) -> Callable[..., Recovery]:
    """Asks for a recovery into `out.mkv`."""

    def ask(clip: MaskedClip, *, key: MasterKey = master, ring: Keyring | None = None, **wanted: object) -> Recovery:
        fields = {"masked": clip.masked, "sealed": clip.sealed, "output": tmp_path / "out.mkv", "reason": "a test"}
        request = RecoveryRequest(**(fields | wanted))  # type: ignore[arg-type]
        return recover(request, key, ring or read_keyring(keyring.path), journal)

    return ask


def regions(picture: Picture, boxes: list[tuple[float, ...]]) -> Array:
    """Which luma samples lie in one of the boxes, as they are sealed."""
    inside = np.zeros((picture.height, picture.width), bool)
    for box in boxes:
        region = region_of(picture, Cover(box, feather=0.05))  # type: ignore[arg-type]
        assert region is not None
        inside[window(region.outer, (1, 1))] = True
    return inside


def compare(clip: MaskedClip, output: Path, pixel_format: str, chosen: Callable[[int, int], bool]) -> None:
    """Every sample of every frame: the original's in chosen boxes, else the masked video's."""
    masked, recovered = planes_of(clip.masked, pixel_format), planes_of(output, pixel_format)
    assert len(recovered) == len(masked) == len(clip.originals)
    for number, (original, hidden, shown) in enumerate(zip(clip.originals, masked, recovered, strict=True)):
        open_, closed = (
            regions(original, [box for track, box in clip.boxes[number].items() if chosen(number, track) is side])
            for side in (True, False)
        )
        inside = open_ & ~closed
        for plane, step in zip(range(3), steps_of(original), strict=True):
            mask = inside[:: step[1], :: step[0]]
            expected = np.where(mask, original.planes[plane], hidden[plane])
            assert (shown[plane] == expected).all(), (number, plane)
        if inside.any():
            assert (original.planes[0][inside] != hidden[0][inside]).any()


@pytest.mark.parametrize(
    ("pixel_format", "size"),
    [
        ("yuv420p", (96, 80)),
        ("yuv420p10le", (96, 80)),
        ("yuv422p", (96, 81)),
        ("yuv422p10le", (96, 80)),
        ("yuv444p", (97, 81)),
        ("yuv444p10le", (97, 81)),
    ],
    ids=lambda value: value if isinstance(value, str) else "x".join(map(str, value)),
)
def test_all_faces_come_back_exactly(
    tmp_path: Path, master: MasterKey, keyring: Keyring, ask: Callable[..., Recovery], pixel_format: str,
    size: tuple[int, int],
) -> None:  # fmt: skip
    keys = keyring.stream_keys(master, "cam")
    clip = write_clip(tmp_path, lambda _: keys, pixel_format=pixel_format, size=size)

    done = ask(clip)

    assert (done.faces, done.frames) == (2 * FRAMES - 3, FRAMES)
    compare(clip, tmp_path / "out.mkv", pixel_format, lambda *_: True)
    assert (tmp_path / "out.mkv").stat().st_mode & 0o777 == 0o600


def test_the_video_had_pictures_out_of_order(clip: MaskedClip) -> None:
    """Else these tests would say little."""
    with av.open(str(clip.masked)) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]

    assert times != sorted(times)


def test_other_tracks_stay_hidden(tmp_path: Path, clip: MaskedClip, ask: Callable[..., Recovery]) -> None:
    done = ask(clip, tracks=(2,))

    assert done.faces == FRAMES - 3
    compare(clip, tmp_path / "out.mkv", "yuv420p", lambda _, track: track == 2)


def test_where_boxes_overlap_others_stay_hidden(
    tmp_path: Path, master: MasterKey, keyring: Keyring, ask: Callable[..., Recovery]
) -> None:
    keys = keyring.stream_keys(master, "cam")
    clip = write_clip(tmp_path, lambda _: keys, boxes=overlapping)

    ask(clip, tracks=(1,))

    compare(clip, tmp_path / "out.mkv", "yuv420p", lambda _, track: track == 1)


def test_a_span_of_time(tmp_path: Path, clip: MaskedClip, ask: Callable[..., Recovery]) -> None:
    done = ask(clip, from_s=0.08, to_s=0.2)

    assert done.frames == 3
    compare(clip, tmp_path / "out.mkv", "yuv420p", lambda number, _: 2 <= number < 5)


@pytest.mark.parametrize("name", ["masked.mp4", "masked.mkv"])
def test_clocks_that_do_not_tick_evenly_and_frames_that_were_withheld(
    tmp_path: Path, master: MasterKey, keyring: Keyring, ask: Callable[..., Recovery], name: str
) -> None:
    keys = keyring.stream_keys(master, "cam")
    indices = [0, 1, 2, 5, 6, 7, 9]
    clip = write_clip(tmp_path, lambda _: keys, name=name, ticks=lambda n: 3000 + 37 * n * n + 600 * n, indices=indices)

    ask(clip)

    compare(clip, tmp_path / "out.mkv", "yuv420p", lambda *_: True)
    with av.open(str(clip.masked)) as masked, av.open(str(tmp_path / "out.mkv")) as recovered:
        times = [[frame.time for frame in each.decode(video=0)] for each in (masked, recovered)]
    assert np.abs(np.diff(np.diff(np.array(times, float), axis=1), axis=0)).max() <= 0.0011


def test_turned_and_squeezed_pictures(
    tmp_path: Path, master: MasterKey, keyring: Keyring, ask: Callable[..., Recovery]
) -> None:
    keys = keyring.stream_keys(master, "cam")
    turned = Shown(Shown.turned(90).matrix, Fraction(4, 3))
    clip = write_clip(tmp_path, lambda _: keys, shown=turned)

    ask(clip)

    compare(clip, tmp_path / "out.mkv", "yuv420p", lambda *_: True)
    with av.open(str(tmp_path / "out.mkv")) as container:
        frame = next(container.decode(video=0))
        assert (abs(frame.rotation), container.streams.video[0].sample_aspect_ratio) == (90, Fraction(4, 3))


def test_periods_follow_one_another(
    tmp_path: Path, master: MasterKey, keyring: Keyring, ask: Callable[..., Recovery]
) -> None:
    old, new = keyring.stream_keys(master, "cam"), rotate(keyring.path, master).stream_keys(master, "cam")
    clip = write_clip(tmp_path, lambda number: old if number < 6 else new)

    ask(clip)

    compare(clip, tmp_path / "out.mkv", "yuv420p", lambda *_: True)
    destroy(keyring.path, 1, "it is over")
    with pytest.raises(RecoveryRefused, match="key period 1 was destroyed"):
        ask(clip, output=tmp_path / "second.mkv")
    ask(clip, output=tmp_path / "second.mkv", from_s=0.24)
    compare(clip, tmp_path / "second.mkv", "yuv420p", lambda number, _: number >= 6)


# -- refusals ------------------------------------------------------------------------------------------


def other_key(_: MaskedClip) -> dict[str, object]:
    return {"key": MasterKey(bytes(range(101, 133)))}


def other_keyring(clip: MaskedClip) -> dict[str, object]:
    return {"ring": new_keyring(clip.masked.with_name("other"), MasterKey(bytes(range(100, 132))))}


def destroyed(clip: MaskedClip) -> dict[str, object]:
    return {"ring": destroy(clip.masked.with_name("keyring"), 1, "it is over")}


def another_video(clip: MaskedClip) -> dict[str, object]:
    clip.masked.write_bytes(clip.masked.read_bytes() + bytes(1))
    return {}


def cut_off(clip: MaskedClip) -> dict[str, object]:
    clip.sealed.write_bytes(clip.sealed.read_bytes()[:-1])
    return {}


def changed(clip: MaskedClip) -> dict[str, object]:
    data = bytearray(clip.sealed.read_bytes())
    data[len(data) // 2] ^= 1
    clip.sealed.write_bytes(data)
    return {}


def no_such_track(_: MaskedClip) -> dict[str, object]:
    return {"tracks": (1, 7)}


def empty_span(_: MaskedClip) -> dict[str, object]:
    return {"from_s": 60.0}


REFUSALS = (
    (other_key, "needs the master key"), (other_keyring, "another key or keyring"), (destroyed, "was destroyed"),
    (another_video, "belongs to another video"), (cut_off, "cut off"), (changed, "was changed"),
    (no_such_track, "no seal of track 7; there are: 1, 2"), (empty_span, "no seal of these tracks"),
)  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), REFUSALS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_refusal_is_a_sentence_in_the_log_and_no_picture(
    tmp_path: Path,
    clip: MaskedClip,
    journal: Journal,
    ask: Callable[..., Recovery],
    spoil: Callable[[MaskedClip], dict[str, object]],
    words: str,
) -> None:
    arguments = spoil(clip)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(RecoveryRefused, match=words):
        ask(clip, **arguments)

    assert sorted(tmp_path.iterdir()) == before
    last = JournalEntry.model_validate_json(journal.path.read_bytes().splitlines()[-1])
    assert (last.outcome, last.reason, journal.count) == ("refused", "a test", 2)
    assert words in last.detail and len(last.video_sha256) == 64


def test_seals_that_somebody_without_the_key_put_together_anew(
    tmp_path: Path, master: MasterKey, keyring: Keyring, clip: MaskedClip, ask: Callable[..., Recovery]
) -> None:
    """A chain anybody can compute; the end's MAC nobody can who has not the key."""
    forged = tmp_path / "forged.seal"
    theirs = StreamKeys(bytes(32), stream="cam", key_id=master.id, keyring=keyring.file.id, period=1)
    with open_seals(clip.sealed) as seals, SealWriter(forged, seals.head) as writer:
        for entry in seals.entries[1:]:
            writer.add(seals.read(entry))
        writer.finish(theirs, clip.masked, seals.shown)

    with pytest.raises(NotAuthentic, match=r"forged\.seal: is not authentic"):
        ask(clip, sealed=forged)


def test_a_recovery_is_in_the_log_before_it_has_a_name(
    tmp_path: Path, clip: MaskedClip, ask: Callable[..., Recovery], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> JournalEntry:
        raise ConfigError("the disk is full")

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(ConfigError, match="the disk is full"):
        ask(clip)

    assert not list(tmp_path.glob("*.mkv")) and not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"reason": "  "}, "--reason: expected"),
        ({"output": Path("out.mp4")}, "ends with .mkv"),
        ({"output": Path("nowhere/out.mkv")}, "no such folder"),
        ({"masked": Path("nothing.mp4")}, "no such file"),
        ({"from_s": 2.0, "to_s": 1.0}, "begins before it ends"),
    ],
    ids=["no reason", "another container", "no folder", "no video", "backwards"],
)
def test_what_cannot_be_meant_is_not_even_tried(
    clip: MaskedClip, journal: Journal, ask: Callable[..., Recovery], wanted: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        ask(clip, **wanted)

    assert journal.count == 1


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path, clip: MaskedClip, ask: Callable[..., Recovery]) -> None:
    (tmp_path / "out.mkv").write_text("mine")

    with pytest.raises(ConfigError, match="is there already"):
        ask(clip)

    assert (tmp_path / "out.mkv").read_text() == "mine"
