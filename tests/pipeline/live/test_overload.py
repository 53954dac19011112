"""A live stream that falls behind its camera: detectors rest that can, then frames are withheld."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from bench import chaos
from operators import Operator
from operators.frame import Faces, Frame
from operators.paint import cpu
from pipeline.config import Config, Step
from pipeline.live.dry_run import Nowhere, Watch, read_clip, record_of
from pipeline.live.lookahead import LATE_S
from pipeline.live.steps import open_steps
from pipeline.live.stream import StreamWork
from pipeline.wire import End, Ledger, StreamRecord

FPS = 25
ZONES = Step(use="detect.zones", options={"boxes": [[0.5, 0.5, 1, 1]]})
CONFIG = Config(steps=[ZONES, Step(use="track"), Step(use="deidentify.cover")], lookahead_ms=200)


class Looker:
    """Finds the same face in every frame that it is shown."""

    def __init__(self) -> None:
        self.looked: list[int] = []

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        self.looked += [frame.index for frame in frames]
        return [replace(frame, faces=frame.faces + Faces.of([[10, 10, 40, 40]]), examined=True) for frame in frames]


class Resting(Looker):
    """Takes twice the face for one where it may rest."""

    def __init__(self) -> None:
        super().__init__()
        self.rested: list[int] = []

    def rest(self, frame: Frame) -> Frame:
        self.rested.append(frame.index)
        return replace(frame, faces=frame.faces + Faces.of([[0, 0, 60, 60]], seen=[False]), examined=True)


class Sampler(Resting):
    """Leaves every third frame as it is."""

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [frame if frame.index % 3 == 2 else super(Sampler, self).__call__([frame])[0] for frame in frames]


AnyLooker = TypeVar("AnyLooker", bound=Looker)


def work_at_once(
    folder: Path, frames: int, looker: AnyLooker, *, live: bool, config: Config = CONFIG
) -> tuple[AnyLooker, Watch, Nowhere]:
    """Gives a worker all packets before it has begun."""
    chaos.make_clip(folder / "clip.mp4", frames, gop=20)
    clip = read_clip(folder / "clip.mp4", frames=frames, live=live)
    watch, member = Watch(), Nowhere()
    operators: dict[str, Operator] = {"looker": looker, **open_steps(config), "watch": watch}
    work = StreamWork("clip", member, operators, config, {})
    end = StreamRecord(end=End(ledger=Ledger(packets=frames)))
    values = [StreamRecord(head=clip.head).SerializeToString(), *clip.packets, end.SerializeToString()]
    for number, value in enumerate(values):
        work.feed(record_of(number, value))
    while not work.ended:
        work.pump(0.01)
    return looker, watch, member


def test_files_are_never_behind(tmp_path: Path) -> None:
    looker, _, _ = work_at_once(tmp_path, 40, Resting(), live=False)

    assert (looker.looked, looker.rested) == (list(range(40)), [])


def test_a_detector_that_may_rest_does_until_the_stream_is_in_time(tmp_path: Path) -> None:
    """The last five frames lag by a fifth of a second at most."""
    looker, watch, member = work_at_once(tmp_path, 25, Resting(), live=True)

    assert (looker.rested, looker.looked) == (list(range(19)), list(range(19, 25)))
    assert member.stored.ledger.shown == 25
    assert member.stored.ledger.covered_whole == 0
    # What is fixed and what may be a face are covered in every frame.
    assert min(len(covers) for covers in watch.covers.values()) == 2


def test_a_detector_that_may_not_looks_at_every_frame(tmp_path: Path) -> None:
    looker, watch, member = work_at_once(tmp_path, 25, Looker(), live=True)

    assert looker.looked == list(range(25))
    assert member.stored.ledger.shown == 25
    assert {len(covers) for covers in watch.covers.values()} == {2}


@pytest.mark.parametrize("live", [True, False])
def test_what_is_late_is_covered_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    styles = []

    def paint(frame: Frame) -> None:
        styles.append({cover.style for cover in frame.covers})
        cpu.paint(frame)

    monkeypatch.setattr("pipeline.live.release.paint", paint)

    work_at_once(tmp_path, 25, Looker(), live=live)

    late = 14 if live else 0  # the rest waits for the look-ahead of a fifth of a second, and is as late again at most
    assert styles == [{"solid"}] * late + [{"blur"}] * (25 - late)


def test_what_comes_too_late_is_withheld(tmp_path: Path) -> None:
    frames = round((LATE_S + 1) * FPS)

    looker, watch, member = work_at_once(tmp_path, frames, Looker(), live=True)

    ledger = member.stored.ledger
    assert dict(ledger.withheld) == {"late": FPS - 1}
    assert ledger.shown == frames - (FPS - 1)
    assert min(looker.looked) == min(watch.covers) == FPS - 1
    assert {len(covers) for covers in watch.covers.values()} == {2}


@pytest.mark.parametrize("live", [True, False])
def test_what_no_detector_looked_at_is_not_masked(tmp_path: Path, live: bool) -> None:
    """Every frame has time, and fixed places are marked in each."""
    config = CONFIG.model_copy(update={"delivery": "transactional"})

    sampler, _, member = work_at_once(tmp_path, 24, Sampler(), live=live, config=config)

    ledger = member.stored.ledger
    assert len(sampler.looked) == 16
    assert (ledger.covered_whole, dict(ledger.withheld)) == ((0, {"not_examined": 8}) if live else (8, {}))
