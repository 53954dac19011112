"""From two files to a report: each kind of leak planted into a drawn clip, with detectors that are scripted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import ConfigError, StreamError
from operators.arrays import Array
from pipeline.judging.document import judge
from pipeline.judging.judge import TrackRecord, find_faces
from pipeline.judging.pixels import PATCH_PX, FaceEvidence
from pipeline.judging.report import JudgedTrack, JudgingReport
from pipeline.judging.truth import TruthTrack
from tests.pipeline.judging.scenes import (
    HEIGHT,
    WIDTH,
    Drawn,
    ScriptedPanel,
    background,
    black,
    changed,
    drawn_face,
    mosaic,
    pasted,
    write_video,
)

FRAMES, PX, Y = 16, 40, 50


def box_at(number: int) -> Array:
    return np.array([30 + 2 * number, Y, 30 + 2 * number + PX, Y + PX], float)


def picture_at(number: int) -> Drawn:
    # A block that wanders tells frames apart.
    picture = cv2.rectangle(background(), (8 * number, 2), (8 * number + 20, 14), (20, 20, 230), -1)
    x1, y1 = (int(side) for side in box_at(number)[:2])
    return pasted(np.asarray(picture, np.uint8), drawn_face(3, PX), x1, y1)


ORIGINAL = [picture_at(number) for number in range(FRAMES)]
FOUND = {number: [[*box_at(number), 0.93]] for number in range(FRAMES)}
COVERED = [changed(picture, box_at(number), black) for number, picture in enumerate(ORIGINAL)]
Change = Callable[[int], Drawn]


def judged(
    folder: Path, masked: Sequence[Drawn], panel: ScriptedPanel | None = None, original: Sequence[Drawn] = ORIGINAL
) -> JudgingReport:
    before, after = write_video(folder / "before.mp4", original), write_video(folder / "after.mp4", masked, crf=24)
    report, _ = judge(before, after, panel=panel or ScriptedPanel(FOUND))
    return report


def with_slip(frames: Sequence[int], change: Change) -> list[Drawn]:
    """The covered clip, but for some frames."""
    return [change(number) if number in frames else COVERED[number] for number in range(FRAMES)]


def slip(how: Callable[[Drawn], Array], scale: float = 1.3) -> Change:
    return lambda number: changed(ORIGINAL[number], box_at(number), how, scale)


def moved(number: int) -> Drawn:
    x1, y1 = (int(side) for side in box_at(number)[:2])
    return pasted(COVERED[number], drawn_face(3, PX), x1 + 6, y1 + 2)


LEAKS: dict[str, tuple[Sequence[int], Change]] = {
    "single frame": ([7], lambda number: ORIGINAL[number]),
    "late onset": ([0, 1], lambda number: ORIGINAL[number]),
    "early end": ([14, 15], lambda number: ORIGINAL[number]),
    "shrunk cover": (range(4, 10), slip(black, 0.5)),
    "cover that lags": (range(4, 10), lambda number: changed(ORIGINAL[number], box_at(number) - 60, black)),
    "weak blur": (range(4, 12), slip(lambda picture: cv2.GaussianBlur(picture, (0, 0), PX / 14))),
    "weak mosaic": (range(4, 12), slip(mosaic(3))),
    "moved": (range(4, 10), moved),
    "dimmed": (range(4, 10), slip(lambda picture: picture * 0.35 + 20)),
    "tinted": (range(4, 10), slip(lambda picture: picture * np.array([0.4, 0.8, 1.0]))),
    "negative": (range(4, 10), slip(lambda picture: 255 - picture)),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_planted_leak_is_found_where_it_is(tmp_path: Path, kind: str) -> None:
    frames, change = LEAKS[kind]

    report = judged(tmp_path, with_slip(frames, change))

    (track,) = report.tracks
    assert report.outcome == "leaks" and track.verdict != "covered"
    exposed = {at for span in track.spans for at in range(span.from_frame, span.to_frame + 1)}
    assert exposed & set(frames)
    assert exposed <= {at + near for at in frames for near in range(-2, 3)}


GOOD: dict[str, Callable[[Drawn], Array]] = {
    "black": black,
    "grey": lambda picture: np.full_like(picture, 128),
    "strong blur": lambda picture: cv2.GaussianBlur(picture, (0, 0), PX / 3),
    "noise": lambda picture: np.random.default_rng(1).integers(0, 255, picture.shape),
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_well_covered_clip_passes(tmp_path: Path, kind: str) -> None:
    masked = [changed(picture, box_at(number), GOOD[kind]) for number, picture in enumerate(ORIGINAL)]

    report = judged(tmp_path, masked)

    assert report.outcome == "covered", report.tracks
    assert (report.face_frames, report.clear, report.reversible) == (FRAMES, 0, 0)
    assert report.words == "all of 1 faces are covered"


def test_a_face_that_is_there_for_one_frame_is_judged(tmp_path: Path) -> None:
    empty = [pasted(picture, background()[Y : Y + PX, 30:70], 30, Y) for picture in [background()] * FRAMES]
    original = [*empty[:5], ORIGINAL[5], *empty[6:]]

    report = judged(tmp_path, original, ScriptedPanel({5: FOUND[5]}), original)

    (track,) = report.tracks
    assert (track.frames, track.clear, report.outcome) == (1, 1, "leaks")
    assert track.spans[0].from_frame == track.spans[0].to_frame == 5


def test_frames_that_are_not_shown_show_nothing(tmp_path: Path) -> None:
    masked = [picture for number, picture in enumerate(with_slip([7], picture_at)) if number != 7]

    report = judged(tmp_path, masked)

    assert report.outcome == "covered"
    assert report.pairs.shown + report.pairs.withheld == FRAMES and report.pairs.withheld >= 1
    assert report.tracks[0].withheld >= 1


def test_a_frame_shown_twice_is_judged_twice(tmp_path: Path) -> None:
    """Its cover is missing the second time."""
    masked = [*COVERED[:8], ORIGINAL[7], *COVERED[8:]]

    report = judged(tmp_path, masked)

    assert report.outcome == "leaks" and report.pairs.repeated >= 1


@pytest.mark.parametrize("order", [(0.0, 0.9), (0.9, 0.0)])
def test_the_worst_of_a_frame_shown_twice_counts(order: tuple[float, float]) -> None:
    record, blank = TrackRecord(TruthTrack(1)), np.zeros((PATCH_PX, PATCH_PX), np.float32)

    for shown in order:
        record.add(5, FaceEvidence(shown, 0.0, 0.0, (0.0, 0.0), 0.0, 0.0, 0.0, 0.0, 0.0), blank, blank)

    assert record.evidence[5].shown == 0.9


def test_a_smaller_video_is_judged_too(tmp_path: Path) -> None:
    def reduced(picture: Drawn) -> Drawn:
        return np.asarray(cv2.resize(picture, (WIDTH * 3 // 4, HEIGHT * 3 // 4), interpolation=cv2.INTER_AREA))

    leaking = [reduced(picture) for picture in with_slip([7, 8], picture_at)]

    assert judged(tmp_path, leaking).outcome == "leaks"
    assert judged(tmp_path, [reduced(picture) for picture in COVERED]).outcome == "covered"


def test_a_video_that_was_stretched_to_whole_blocks_is_judged_too(tmp_path: Path) -> None:
    leaking = [
        np.asarray(cv2.resize(picture, (WIDTH + 8, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
        for picture in with_slip([7, 8], picture_at)
    ]

    assert judged(tmp_path, leaking).outcome == "leaks"


def test_a_face_that_only_the_masked_video_gives_away(tmp_path: Path) -> None:
    found = {number: [[*box_at(number), 0.95]] for number in (6, 7)}

    report = judged(tmp_path, with_slip([6, 7], picture_at), ScriptedPanel({}, found))

    (track,) = report.tracks
    assert (track.found_in, track.verdict, track.sure) == ("masked", "clear", True)
    assert report.outcome == "leaks"


def test_a_face_that_the_masked_video_made_up_is_nobodys(tmp_path: Path) -> None:
    masked = [pasted(picture, drawn_face(8, PX), 120, 90) for picture in COVERED]
    found = {number: [[120, 90, 160, 130, 0.95]] for number in range(FRAMES)}

    assert judged(tmp_path, masked, ScriptedPanel(FOUND, found)).outcome == "covered"


def test_doubtful_faces_do_not_count(tmp_path: Path) -> None:
    doubtful = {number: [[*box_at(number), 0.6]] for number in range(FRAMES)}

    report = judged(tmp_path, ORIGINAL, ScriptedPanel(doubtful, confirming=False))

    assert (report.outcome, report.face_frames) == ("no_faces", 0)
    assert [(track.sure, track.verdict) for track in report.tracks] == [(False, "clear")]


def test_the_worst_face_comes_first(tmp_path: Path) -> None:
    two = {number: [*FOUND[number], [140, 100, 170, 130, 0.94]] for number in range(FRAMES)}

    def weight(track: JudgedTrack) -> int:
        return track.clear

    report = judged(tmp_path, ORIGINAL, ScriptedPanel(two), ORIGINAL)

    assert [track.track for track in report.tracks] == sorted(
        [1, 2], key=lambda number: (-weight(next(t for t in report.tracks if t.track == number)), number)
    )


def test_detectors_look_closely_at_a_period(tmp_path: Path) -> None:
    panel = ScriptedPanel(FOUND)

    judged(tmp_path, COVERED, panel)

    assert panel.closely == [0, 13]


def test_faces_are_found_once_for_many_tools(tmp_path: Path) -> None:
    panel = ScriptedPanel(FOUND)
    before = write_video(tmp_path / "before.mp4", ORIGINAL)
    faces = find_faces(before, panel)

    outcomes = [
        judge(before, write_video(tmp_path / f"{name}.mp4", masked), panel=panel, faces=faces)[0].outcome
        for name, masked in (("good", COVERED), ("bad", ORIGINAL))
    ]

    assert outcomes == ["covered", "leaks"]
    assert panel.closely == [0, 13]


def test_another_video_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    other = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(FRAMES)]

    with pytest.raises(ConfigError, match="expected a video that was made from it"):
        judged(tmp_path, other)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected one shape, scaled at most"):
        judged(tmp_path, [picture[:, :144] for picture in COVERED])


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("none")
    good = write_video(tmp_path / "good.mp4", COVERED)

    for original, masked in ((tmp_path / "no.mp4", good), (good, tmp_path / "no.mp4"), (good, tmp_path / "missing")):
        with pytest.raises(StreamError):
            judge(original, masked, panel=ScriptedPanel({}))


def test_what_breaks_off_is_not_called_covered(tmp_path: Path) -> None:
    before = write_video(tmp_path / "before.mp4", ORIGINAL)
    whole = write_video(tmp_path / "whole.mp4", COVERED, options={"movflags": "faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 3 // 4])

    report, _ = judge(before, cut, panel=ScriptedPanel(FOUND))

    assert report.outcome == "undecided" and report.masked.reason
    assert 0 < report.masked.frames < FRAMES
