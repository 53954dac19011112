"""Real clips through a whole run that seals, and back: the chosen track as it was, all else as it was masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from operators.arrays import Array
from pipeline.config import SealSection, load
from pipeline.live.outputs import seal_file_of
from pipeline.sealing.container import SealEntry, open_seals
from tests.model_files import model_file
from tests.pipeline.live.sealed_streams import keys_in, recovered
from tests.pipeline.live.test_run import facewarden

CLIPS = {"podium_two_men_320x240_audio": 0.0, "two_children_drawings": 1.0, "cafe_conversation_occluded": 0.0}
"""From which second on."""
FRAMES = 16
NEAR_DB = 35.0


def write_cut(source: Path, target: Path, from_s: float) -> None:
    """Some frames of a clip, coded anew with B-frames."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        old.seek(int(from_s / (stream.time_base or 1)), stream=stream)
        coded = new.add_stream("libx264", rate=stream.average_rate or 25, options={"crf": "18", "bf": "2"})
        coded.width, coded.height, coded.pix_fmt = stream.width // 2 * 2, stream.height // 2 * 2, "yuv420p"
        coded.time_base = Fraction(1, 90_000)
        for number, frame in enumerate(old.decode(stream)):
            if number == FRAMES:
                break
            frame = frame.reformat(coded.width, coded.height, "yuv420p")
            frame.pts, frame.time_base = int(number / (stream.average_rate or 25) * 90_000), coded.time_base
            new.mux(coded.encode(frame))
        new.mux(coded.encode())


def stacked(path: Path) -> list[Array]:
    """Y, then U and V, of each frame, `(h * 3 / 2, w)`."""
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="yuv420p")) for frame in container.decode(video=0)]


@dataclass(frozen=True)
class Areas:
    """Of one frame, `(h, w)` bool: where chosen faces come back, and where those of others are."""

    chosen: Array
    others: Array


def areas(entries: Sequence[SealEntry], track: int, height: int, width: int) -> Iterator[Areas]:
    for number in range(FRAMES):
        masks = np.zeros((2, height, width), bool)
        for entry in entries:
            if entry.frame == number:
                x1, y1, x2, y2 = entry.box
                masks[int(entry.track != track), y1:y2, x1:x2] = True
        yield Areas(masks[0] & ~masks[1], masks[1])


def planes(frame: Array, where: Array) -> Iterator[Array]:
    """Samples of luma, then of chroma, inside of an area."""
    height, width = where.shape
    yield frame[:height][where]
    half = where[::2, ::2]
    for chroma in frame[height:].reshape(2, height // 2, width // 2):
        yield chroma[half]


def luma_db(one: Array, other: Array) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(float) - other.astype(float)) ** 2), 1e-6)))


@pytest.mark.timeout(420)
@pytest.mark.parametrize("tier", ["escrow", "proface_s"])
def test_a_chosen_track_comes_back_and_nothing_else(data_dir: Path, tmp_path: Path, tier: str) -> None:
    for name in ("centerface", "yunet"):
        model_file(name)
    settings = keys_in(tmp_path, tier=tier, weights_private=True)
    config = tmp_path / "sealed.yaml"
    whole = load("reversible", {"seal": settings.model_dump()})
    config.write_text(yaml.safe_dump(whole.model_dump(exclude_unset=True)))
    sources = [tmp_path / f"{name}.mp4" for name in CLIPS]
    for source, from_s in zip(sources, CLIPS.values(), strict=True):
        write_cut(data_dir / "videos" / source.name, source, from_s)

    done = facewarden("run", *sources, "-o", tmp_path / "out", "--config", config)

    assert done.returncode == 0, done.stderr
    several = 0
    for source in sources:
        several += _came_back(source, tmp_path / "out" / f"{source.stem}_anonymized.mp4", settings)
    assert several >= 2, "others were there to stay hidden"


def _came_back(source: Path, video: Path, settings: SealSection) -> bool:
    """Whether others are in it, whose faces stayed hidden."""
    with open_seals(seal_file_of(video)) as seals:
        entries = seals.entries
    tracks = [entry.track for entry in entries]
    track = max(set(tracks), key=tracks.count)
    recovered(video, settings, source.with_suffix(".back.mkv"), tracks=(track,))
    originals, masked, back = stacked(source), stacked(video), stacked(source.with_suffix(".back.mkv"))
    assert len(originals) == len(masked) == len(back) == FRAMES
    height, width = masked[0].shape[0] * 2 // 3, masked[0].shape[1]
    found, hidden, decibels, covered = 0, 0, list[float](), list[float]()
    for number, area in enumerate(areas(entries, track, height, width)):
        for one, two in zip(planes(back[number], ~area.chosen), planes(masked[number], ~area.chosen), strict=True):
            assert np.array_equal(one, two), "outside, and where others are"
        hidden += int(area.others.any())
        if not area.chosen.any():
            continue
        found += 1
        pairs = list(zip(planes(back[number], area.chosen), planes(originals[number], area.chosen), strict=True))
        if settings.tier == "escrow":
            assert all(np.array_equal(one, other) for one, other in pairs)
        decibels.append(luma_db(*pairs[0]))
        covered.append(luma_db(next(planes(masked[number], area.chosen)), pairs[0][1]))
    assert min(covered) < NEAR_DB - 10, "it was hidden"
    assert found > FRAMES // 2
    assert min(decibels) >= NEAR_DB
    return hidden > 0
