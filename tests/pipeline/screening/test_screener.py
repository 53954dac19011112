"""One pass over a video: what its steps claim is heard of every track, and a frame that fails costs itself alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import ConfigError, EngineError, FrameError, StreamError
from operators import Operator
from operators.deepfake.acmf.operator import ForgeryScorer
from operators.deepfake.gazeforensics.operator import GazeJudge
from operators.deepfake.quality import TOO_FEW
from operators.deepfake.scores import FORGET_AFTER_FRAMES
from operators.frame import Faces, Frame
from operators.track import Track
from pipeline.config import Config
from pipeline.screening.observations import GAZE
from pipeline.screening.screener import STREAM, Screener, Screening, Upload
from tests.clips import Clips, h264, write
from tests.operators.deepfake.faces import mesh

LIMITS = {"threshold_fake": 0.8, "threshold_real": 0.2, "auc": 0.8}
FACE_PX = 100


class Finder:
    """Sees the same face in every n-th frame up to one, and marks these as examined."""

    def __init__(self, every: int = 1, until: int = 10**6) -> None:
        self._every, self._until = every, until

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._look(frame) for frame in frames]

    def _look(self, frame: Frame) -> Frame:
        if frame.index % self._every:
            return frame
        boxes = [[20, 20, 20 + FACE_PX, 20 + FACE_PX]] if frame.index < self._until else []
        return replace(frame, faces=Faces.of(boxes), examined=True)


class Mesher:
    """Gives every face the drawn mesh."""

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        flat = np.column_stack([mesh(FACE_PX) + 20, np.zeros(478)]).astype(np.float32)
        return [
            replace(frame, faces=frame.faces.with_data(mesh=np.repeat(flat[None], len(frame.faces), 0)))
            for frame in frames
        ]


def certain(probability: float) -> Any:
    """An engine that is always as sure."""

    def detect(face: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        n = len(face)
        return {"fake_prob": np.full((n, 1), probability), "cam_fake": np.full((n, 1, 4, 4), probability)}

    return detect


def encode(**inputs: Any) -> dict[str, NDArray[Any]]:
    return {"emb": inputs["face"].mean((2, 3))}


def compare(**inputs: Any) -> dict[str, NDArray[Any]]:
    return {"fake_prob": np.full((len(inputs["emb_seq"]), 1), 0.5)}


def steps(probability: float = 0.9, **finder: int) -> dict[str, Operator]:
    """In-memory twins of a detector and a landmarker, and the two systems with plain functions for networks."""
    return {
        "detect.twin": Finder(**finder),
        "track": Track(),
        "landmarks.twin": Mesher(),
        "deepfake.acmf": ForgeryScorer(certain(probability), size=32, limits=LIMITS),
        "deepfake.gazeforensics": GazeJudge(encode, compare, size=32, frames=4, stride=1, limits=LIMITS),
    }


def screened(path: Path, operators: dict[str, Operator] | None = None) -> Screening:
    with Screener(Config(steps=[]), operators or steps()) as screener:
        return screener.screen(Upload.of(path))


def test_what_is_claimed_is_heard(clips: Clips) -> None:
    told = screened(clips("h264_plain").path)

    assert (told.frames, told.looked, told.complete, told.head.codec) == (60, 60, True, "h264")
    assert told.seconds == pytest.approx(59 / 25)
    (track,) = told.notes.tracks.values()
    assert (track.seen, dict(track.scored)) == (60, {"acmf": 60, "gazeforensics": 15})
    assert told.verdicts["acmf"].probability == pytest.approx(0.9)
    assert told.verdicts["acmf"].words == track.verdicts["acmf"].words == "indication of a forgery"
    assert told.verdicts["gazeforensics"].probability is None
    assert track.gaze is not None and track.gaze.rows().shape == (60, 1 + len(GAZE))
    assert len(list(track.album)) >= 3


def test_only_frames_that_a_detector_looked_at_are_scored(clips: Clips) -> None:
    told = screened(clips("h264_plain").path, steps(every=3))

    assert (told.frames, told.looked) == (60, 20)
    assert told.notes.tracks[1].scored["acmf"] == 20


def test_a_track_that_ended_long_ago_still_counts(tmp_path: Path) -> None:
    """Detectors forget it: what they said of it must have been heard before."""
    clip = write(tmp_path / "long.mp4", None, size=(160, 160), **h264(FORGET_AFTER_FRAMES + 120))

    told = screened(clip.path, steps(until=60))

    assert told.notes.tracks[1].verdicts["acmf"].probability == pytest.approx(0.9)
    assert told.verdicts["acmf"].probability == pytest.approx(0.9)


def test_videos_do_not_know_of_each_other(clips: Clips) -> None:
    path = clips("h264_plain").path
    with Screener(Config(steps=[]), steps()) as screener:
        one, other = (screener.screen(Upload.of(path)) for _ in range(2))

    assert list(one.notes.tracks) == list(other.notes.tracks) == [1]
    assert one.verdicts == other.verdicts
    assert other.notes.tracks[1].scored == one.notes.tracks[1].scored


def test_a_video_without_faces_is_not_spoken_of(clips: Clips) -> None:
    told = screened(clips("h264_plain").path, steps(until=0))

    assert not told.notes.tracks and told.complete
    assert [verdict.reasons for verdict in told.verdicts.values()] == [(TOO_FEW,)] * 2


class Broken:
    """Fails on every frame but the first."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        if frames[0].index:
            raise self._error
        return list(frames)


@pytest.mark.parametrize("error", [FrameError("no use"), IndexError("no use"), RuntimeError("no use")])
def test_a_frame_that_fails_costs_itself(clips: Clips, error: Exception) -> None:
    told = screened(clips("h264_plain").path, {"detect.twin": Finder(), "x": Broken(error), **steps()})

    assert told.frames == 60 and not told.complete and not told.reason
    ((why, count),) = told.lost.items()
    assert "no use" in why and count == 59


def test_a_network_that_fails_ends_all(clips: Clips) -> None:
    with pytest.raises(EngineError, match="no use"):
        screened(clips("h264_plain").path, {"detect.twin": Finder(), "x": Broken(EngineError("no use")), **steps()})


@pytest.mark.parametrize("left_out", ["detect.twin", "deepfake"])
def test_steps_that_would_say_nothing(left_out: str) -> None:
    kept = {name: step for name, step in steps().items() if not name.startswith(left_out)}

    with pytest.raises(ConfigError, match=left_out.removesuffix(".twin")):
        Screener(Config(steps=[]), kept)


def test_a_file_that_changes_meanwhile(tmp_path: Path, clips: Clips) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips("h264_plain").path.read_bytes())
    upload = Upload.of(path)
    with Screener(Config(steps=[]), steps()) as screener:
        told = screener.screen(replace(upload, sha256="0" * 64))

    assert "changed" in told.reason and not told.complete


def test_uploads_are_files(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="expected a file"):
        Upload.of(tmp_path)


def test_steps_are_closed(clips: Clips) -> None:
    class Closing(Finder):
        closed = False

        def close(self) -> None:
            self.closed = True

    finder = Closing()
    screened(clips("h264_plain").path, {**steps(), "detect.twin": finder})

    assert finder.closed


def test_frames_of_a_stream_have_its_name(clips: Clips) -> None:
    told = screened(clips("h264_plain").path)

    assert told.verdicts["acmf"].subject == STREAM


class Fickle:
    """Fails on every frame, each time for another reason out of so many."""

    def __init__(self, reasons: int) -> None:
        self._reasons = reasons

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        raise ValueError(f"reason {frames[0].index % self._reasons}")


@pytest.mark.parametrize(
    ("reasons", "counts"),
    [(1, [60]), (5, [12] * 5), (6, [10] * 6), (30, [2] * 5 + [50])],
    ids=["one", "as many as are kept", "one more", "many more"],
)
def test_of_many_reasons_for_lost_frames_five_are_kept(clips: Clips, reasons: int, counts: list[int]) -> None:
    found = screened(clips("h264_plain").path, {"detect.twin": Finder(), "x": Fickle(reasons), **steps()})

    assert list(found.lost.values()) == counts
    assert [why for why in found.lost if why != "other failures"] == [
        f"ValueError: reason {number}" for number in range(min(reasons, 5))
    ]
    assert ("other failures" in found.lost) == (reasons > 5)


def test_how_far_it_is_and_how_many_frames_are_expected(clips: Clips) -> None:
    seen: list[tuple[int, int]] = []
    with Screener(Config(steps=[]), steps(until=0)) as screener:
        screener.screen(Upload.of(clips("h264_plain").path), lambda *moved: seen.append(moved))

    assert seen == [(number, 60) for number in range(60)]


@pytest.mark.parametrize(
    ("about", "complete"),
    [({}, True), ({"lost": {"corrupt": 1}}, False), ({"reason": "breaks off"}, False)],
    ids=["whole", "a frame was lost", "it breaks off"],
)
def test_what_is_complete(about: dict[str, Any], complete: bool) -> None:
    assert Screening(**about).complete == complete


def test_an_upload_is_known_by_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"abc")

    upload = Upload.of(file)

    assert upload.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of FIPS 180-2
    assert (upload.path, upload.size) == (file, 3)
