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
from pipeline.live.dry_run import WARM_UP, Watch, read_clip, try_out
from pipeline.live.steps import open_steps

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


def test_faces_are_those_seen_and_those_between() -> None:
    watch = Watch()
    box = [[0, 0, 8, 8]]
    for index, (seen, kept) in enumerate([(0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 1)]):
        faces = Faces.of(box, tracks=[1], seen=[seen], kept=[kept])
        watch([replace(frame_of(np.zeros((16, 16, 3), np.uint8), index), faces=faces)])

    assert sorted(watch.faces()) == [1, 2, 3]
    assert np.array_equal(watch.faces()[2], box)
