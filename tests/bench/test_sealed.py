"""Whether masks and seals fit: what is missing on either side is counted, and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.numbered import encode
from bench.sealed import SealedFrames, check_sealed
from pipeline.sealing.container import SealWriter
from pipeline.sealing.keyring import new_keyring
from pipeline.sealing.keys import MasterKey
from tests.pipeline.sealing.clip import FRAMES, HEIGHT, WIDTH, apart, write_clip

Lines = dict[int, dict[str, Any]]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Of 12 frames, with one face, and from the fourth on with two."""
    keys = new_keyring(tmp_path / "ring", master := MasterKey.new()).stream_keys(master, "cam")
    return write_clip(tmp_path, lambda _: keys).masked


def reported() -> Lines:
    """As a run reports that clip."""
    return {
        number: {
            "fate": "masked",
            "faces": [{"box": list(box), "track": track} for track, box in apart(number).items()],
        }
        for number in range(FRAMES)
    }


def test_what_fits(video: Path) -> None:
    masks = 2 * FRAMES - 3

    assert check_sealed(video, reported()) == SealedFrames(FRAMES, masks, masks)


def grown(lines: Lines) -> None:
    lines[5]["faces"][0]["box"][3] += 8


def added(lines: Lines) -> None:
    lines[5]["faces"].append({"box": [1, 60, 20, 79], "track": 9})


def whole(lines: Lines) -> None:
    lines[5] |= {"fate": "covered_whole", "reason": "no detector"}


def gone(lines: Lines) -> None:
    del lines[5]["faces"][1]


def kept(lines: Lines) -> None:
    lines[5]["faces"][1]["kept"] = True


@pytest.mark.parametrize(
    ("change", "unsealed", "unmasked"),
    [(grown, 1, 0), (added, 1, 0), (gone, 0, 1), (kept, 0, 1)],
)
def test_what_does_not(video: Path, change: Callable[[Lines], None], unsealed: int, unmasked: int) -> None:
    lines = reported()
    change(lines)

    found = check_sealed(video, lines)

    assert (found.masks_unsealed, found.seals_unmasked) == (unsealed, unmasked)
    assert len(found.faults) == unsealed + unmasked
    assert all(fault.startswith("masked.mp4, frame 5: ") for fault in found.faults)


def test_what_is_hidden_though_it_was_reported_otherwise_is_counted_apart(video: Path, tmp_path: Path) -> None:
    white = np.full((HEIGHT * 3 // 2, WIDTH), 235, np.uint8)
    encode(tmp_path / "white.mp4", iter([white] * FRAMES), rate=25, options={})
    gone(lines := reported())

    added(lines)

    there, hidden = check_sealed(video, lines, video), check_sealed(video, lines, tmp_path / "white.mp4")

    # A seal that no report explains has its mask if the picture differs there; a mask without a seal is none if not.
    assert (there.seals_unmasked, there.masks_unsealed, there.reported_otherwise) == (1, 0, 1)
    assert (hidden.seals_unmasked, hidden.masks_unsealed, hidden.reported_otherwise) == (0, 1, 1)


def test_a_frame_of_which_the_report_was_lost_is_counted_apart(video: Path) -> None:
    lines = reported()
    lines[5]["fate"] = "withheld"
    del lines[6]

    assert check_sealed(video, lines) == SealedFrames(FRAMES, 2 * FRAMES - 7, 2 * FRAMES - 3, unreported=2)


def test_a_seal_of_a_frame_that_is_not_shown(tmp_path: Path) -> None:
    keys = new_keyring(tmp_path / "ring", master := MasterKey.new()).stream_keys(master, "cam")
    clip = write_clip(tmp_path, lambda _: keys, finished=False)
    with SealWriter.resume(clip.sealed) as writer:
        writer.finish(keys, clip.masked, [(1, FRAMES)])

    found = check_sealed(clip.masked, {index + 1: line for index, line in reported().items()})

    assert found.seals_unmasked >= 1 and found.masks_unsealed >= 1
    assert "masked.mp4, frame 0: has seals, and is not shown" in found.faults


def test_a_face_that_is_kept_or_out_of_the_picture_needs_no_seal(video: Path) -> None:
    lines = reported()
    lines[0]["faces"] += [{"box": [60, 60, 70, 70], "kept": True}, {"box": [-30, 5, -2, 20]}]

    assert check_sealed(video, lines).faults == ()


def test_a_frame_that_is_covered_whole_needs_one_unless_it_says_why_not(tmp_path: Path) -> None:
    keys = new_keyring(tmp_path / "ring", master := MasterKey.new()).stream_keys(master, "cam")
    video = write_clip(tmp_path, lambda _: keys, boxes=lambda number: {} if number == 5 else apart(number)).masked
    lines = reported()
    whole(lines)
    said = {**lines, 5: {**lines[5], "reason": "not sealed: the key is gone; no detector"}}

    assert check_sealed(video, lines).faults == ("masked.mp4, frame 5: is covered whole, and has no seal",)
    assert check_sealed(video, said).faults == ()


def test_a_video_that_was_cut_is_another_one(video: Path) -> None:
    with video.open("ab") as file:
        file.write(b"\0")

    assert check_sealed(video, reported()).faults == ("masked.mp4.seal: belongs to another video",)
