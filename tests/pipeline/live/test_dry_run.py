"""A trial works as a run does: every frame comes out, and what is covered and what it cost is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import chaos
from engines import StreamError
from operators.frame import Faces, Frame
from operators.stills import frame_of
from pipeline.config import Config, Step
from pipeline.live.dry_run import WARM_UP, Nowhere, PacketClip, Watch, read_clip, try_out
from pipeline.live.steps import open_steps
from pipeline.wire import StreamRecord, StreamState
from tests.clips import Clips
from tests.pipeline.media.scripted_decoder import BROKEN, FATAL, SHOWN, SILENT, ScriptedDecoder, head, packet

FRAMES = 40
ZONE = Step(use="detect.zones", options={"boxes": [[0.5, 0.5, 1, 1]]})
CONFIG = Config(steps=[ZONE, Step(use="track"), Step(use="deidentify.cover", options={"scale": 1.0, "shape": "box"})])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    chaos.make_clip(path, FRAMES, gop=20)
    return path


@pytest.mark.parametrize("live", [False, True], ids=["file", "camera"])
def test_every_frame_is_worked_on(clip: Path, live: bool) -> None:
    taken, moves = read_clip(clip, frames=1000, live=live), [0]

    trial = try_out(CONFIG, open_steps(CONFIG), taken, moved=lambda: moves.__setitem__(0, moves[0] + 1))

    assert (trial.shown, trial.failed, moves[0], len(trial.busy_ms)) == (FRAMES, 0, FRAMES, FRAMES - WARM_UP)
    assert trial.cpu_ms > 0
    assert {"decode", "detect.zones", "encode"} <= trial.stages.keys()
    box = [chaos.WIDTH / 2, chaos.HEIGHT / 2, chaos.WIDTH, chaos.HEIGHT]
    assert [trial.faces[index].tolist() for index in range(FRAMES)] == [[box]] * FRAMES
    assert [trial.covers[index].tolist() for index in range(FRAMES)] == [[box]] * FRAMES


def test_a_frame_that_fails_is_told(clip: Path) -> None:
    class Broken:
        def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
            raise ValueError(f"of no use for {len(frames)} frames")

    trial = try_out(CONFIG, {"detect.broken": Broken()}, read_clip(clip, frames=10))

    assert (trial.failed, trial.covers) == (10, {})


def test_a_clip_ends_where_it_is_told_to(clip: Path) -> None:
    assert len(read_clip(clip, frames=7).packets) == 7


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("nothing to see")

    with pytest.raises(StreamError, match=r"text\.mp4"):
        read_clip(path, frames=1)


def packets_of(*data: bytes) -> PacketClip:
    packets = [StreamRecord(packet=packet(number, each)) for number, each in enumerate(data)]
    return PacketClip("made.mp4", head(), tuple(each.SerializeToString() for each in packets))


def test_a_clip_is_numbered_from_its_beginning(clip: Path) -> None:
    taken = read_clip(clip, frames=5, live=True)

    assert [StreamRecord.FromString(each).packet.number for each in taken.packets] == [0, 1, 2, 3, 4]
    assert (taken.name, taken.head.source, taken.head.live, taken.head.epoch) == ("clip.mp4", "clip.mp4", True, 0)


def test_a_decoder_that_dies_ends_the_trial(decoders: list[ScriptedDecoder]) -> None:
    with pytest.raises(StreamError, match=r"made\.mp4: cannot be decoded: the decoder died"):
        try_out(CONFIG, open_steps(CONFIG), packets_of(SHOWN, FATAL, SHOWN))

    assert [decoder.closed for decoder in decoders] == [True]


@pytest.mark.usefixtures("decoders")
def test_packets_without_a_picture_are_counted_as_failed() -> None:
    trial = try_out(CONFIG, open_steps(CONFIG), packets_of(SHOWN, BROKEN, SILENT, SHOWN))

    assert (trial.shown, trial.failed) == (2, 2)
    assert sorted(trial.covers) == [0, 1]
    assert len(trial.busy_ms) == 4  # all of them where the clip is no longer than the warm-up
    assert "watch" not in trial.stages


def test_a_member_of_no_group_keeps_the_last_state() -> None:
    member = Nowhere()

    for state in (StreamState(next_index=1, settled=[3]), StreamState(next_index=2)):
        member.commit("clip", [], state.SerializeToString(), resume_offset=0)

    assert member.stored == StreamState(next_index=2)
    assert (member.poll(0), member.streams(), member.state("clip")) == ([], frozenset(), None)


def test_faces_are_those_seen_and_those_between() -> None:
    watch = Watch()
    box = [[0, 0, 8, 8]]
    for index, (seen, kept) in enumerate([(0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 1)]):
        faces = Faces.of(box, tracks=[1], seen=[seen], kept=[kept])
        watch([replace(frame_of(np.zeros((16, 16, 3), np.uint8), index), faces=faces)])

    assert sorted(watch.faces()) == [1, 2, 3]
    assert np.array_equal(watch.faces()[2], box)


def test_a_clip_is_called_by_one_line_of_text(clips: Clips, tmp_path: Path) -> None:
    """It goes into the remarks of a config."""
    odd = tmp_path / "a\nsteps: []\udce9.mp4"
    odd.write_bytes(clips("h264_plain").path.read_bytes())

    taken = read_clip(odd, frames=3)

    assert taken.name == taken.head.source == "a?steps: []?.mp4"
