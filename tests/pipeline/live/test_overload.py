"""A live stream that falls behind its camera: detectors rest as long as that is safe, then frames are withheld."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench import chaos
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

    def look_next(self, stream: str) -> None: ...


class Dozer(Looker):
    """Looks at the first frame of a stream only, as one whose period is longer than the look-ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.awake = True

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        if not self.awake:
            return list(frames)
        self.awake = False
        return super().__call__(frames)

    def look_next(self, stream: str) -> None:  # noqa: ARG002
        self.awake = True


def work_at_once(
    folder: Path, frames: int, *, live: bool, looker: Looker | None = None
) -> tuple[Looker, Watch, Nowhere]:
    """Gives a worker all packets before it has begun."""
    chaos.make_clip(folder / "clip.mp4", frames, gop=20)
    clip = read_clip(folder / "clip.mp4", frames=frames, live=live)
    looker, watch, member = looker or Looker(), Watch(), Nowhere()
    operators = {"looker": looker, **open_steps(CONFIG), "watch": watch}
    work = StreamWork("clip", member, operators, CONFIG, {})
    end = StreamRecord(end=End(ledger=Ledger(packets=frames)))
    values = [StreamRecord(head=clip.head).SerializeToString(), *clip.packets, end.SerializeToString()]
    for number, value in enumerate(values):
        work.feed(record_of(number, value))
    while not work.ended:
        work.pump(0.01)
    return looker, watch, member


def test_files_are_never_behind(tmp_path: Path) -> None:
    looker, _, _ = work_at_once(tmp_path, 40, live=False)

    assert looker.looked == list(range(40))


def test_detectors_rest_no_longer_than_the_look_ahead(tmp_path: Path) -> None:
    looker, watch, member = work_at_once(tmp_path, 25, live=True)

    assert looker.looked == [0, 5, 10, 15, *range(19, 25)]
    assert member.stored.ledger.shown == 25
    # What is fixed and what was found are covered in every frame.
    assert {len(covers) for covers in watch.covers.values()} == {2}


@pytest.mark.parametrize("live", [True, False])
def test_what_is_late_is_covered_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    styles = []

    def paint(frame: Frame) -> None:
        styles.append({cover.style for cover in frame.covers})
        cpu.paint(frame)

    monkeypatch.setattr("pipeline.live.release.paint", paint)

    work_at_once(tmp_path, 25, live=live)

    late = 14 if live else 0  # the rest waits for the look-ahead of a fifth of a second, and is as late again at most
    assert styles == [{"solid"}] * late + [{"blur"}] * (25 - late)


def test_what_comes_too_late_is_withheld(tmp_path: Path) -> None:
    frames = round((LATE_S + 1) * FPS)

    looker, watch, member = work_at_once(tmp_path, frames, live=True)

    ledger = member.stored.ledger
    assert dict(ledger.withheld) == {"late": FPS - 1}
    assert ledger.shown == frames - (FPS - 1)
    assert min(looker.looked) == min(watch.covers) == FPS - 1
    assert {len(covers) for covers in watch.covers.values()} == {2}


def test_a_detector_looks_before_what_it_left_out_is_released(tmp_path: Path) -> None:
    dozer, _, member = work_at_once(tmp_path, 25, live=False, looker=Dozer())

    assert dozer.looked == [0, 5, 10, 15, 20]
    assert member.stored.ledger.shown == 25
    assert member.stored.ledger.covered_whole == 0


def test_what_no_look_vouches_for_is_covered_whole(tmp_path: Path) -> None:
    class Asleep(Dozer):
        def look_next(self, stream: str) -> None: ...

    _, _, member = work_at_once(tmp_path, 25, live=False, looker=Asleep())

    assert member.stored.ledger.covered_whole >= 18
