"""A detector has to find a known face before it may watch over anybody; what cannot be seen from outside, alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines import EngineError, FrameError, open_engine
from operators import find
from operators.detect.known_face import BOX
from operators.detect.zones import Zones
from operators.frame import Faces, Frame
from pipeline.config import Config, Step
from pipeline.live.self_test import ALONE, STREAM, require_found
from pipeline.live.steps import open_steps, try_detectors
from tests.model_files import model_file, without_weights

ENGINES = {"network": object()}


class Scripted:
    """A detector that marks these boxes, and remembers what it forgot."""

    def __init__(self, *boxes: tuple[int, ...], looks: bool = True) -> None:
        self.boxes, self.looks = boxes, looks
        self.forgotten: list[str] = []

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [replace(frame, faces=Faces.of(self.boxes), examined=self.looks) for frame in frames]

    def snapshot(self, stream: str) -> bytes:
        raise AssertionError(stream)

    def restore(self, stream: str, state: bytes) -> None:
        raise AssertionError(stream, state)

    def forget(self, stream: str) -> None:
        self.forgotten.append(stream)


class Unsure:
    """A detector whose network gives no numbers."""

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        raise FrameError(f"frame {frames[0].index}: the network's output is not finite")


def never() -> Scripted:
    raise AssertionError("nothing else is to be tried")


def test_who_finds_the_face_may_begin_and_remembers_nothing_of_it() -> None:
    detector = Scripted((0, 0, 20, 20), BOX)

    require_found("detect.own", detector, ENGINES, with_defaults=never)

    assert detector.forgotten == [STREAM]


@pytest.mark.parametrize(
    ("detector", "fault"),
    [
        pytest.param(Scripted(), "no face", id="blind"),
        pytest.param(Scripted((0, 0, 256, 256), (180, 206, 250, 250)), "2 boxes elsewhere", id="sees something else"),
        pytest.param(Scripted(*[BOX] * 11), "11 boxes for one face", id="sees faces everywhere"),
        pytest.param(Scripted(BOX, looks=False), "passed without a look", id="does not look"),
        pytest.param(Unsure(), "output is not finite", id="no numbers"),
    ],
)
def test_who_does_not_is_refused_with_what_to_do(detector: Any, fault: str) -> None:
    with pytest.raises(
        EngineError, match=f"^detect.own: expected it to find the face .*{fault}.*facewarden models pull"
    ):
        require_found("detect.own", detector, ENGINES, with_defaults=lambda: detector)


class Plates(Scripted):
    """Looks for something else than faces."""

    finds_faces = False


def test_what_looks_for_no_faces_and_what_runs_no_network_is_let_through() -> None:
    require_found("detect.plates", Plates(), ENGINES, with_defaults=never)
    require_found("detect.zones", Zones(boxes=[]), {}, with_defaults=never)


def test_options_that_ask_much_of_a_face_are_no_fault_of_its_networks(caplog: pytest.LogCaptureFixture) -> None:
    engines = {"detector": "centerface"}
    strict = Config(steps=[Step(use="detect.centerface", engines=engines, options={"threshold": 0.95})])
    model_file("centerface")

    assert list(open_steps(strict)) == ["detect.centerface"]
    assert "detect.centerface: finds a drawn face as it is, but not with the options" in caplog.text


def test_what_was_opened_for_the_test_alone_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    class Closing(Scripted):
        def close(self) -> None:
            closed.append("closed")

    require_found("detect.own", Scripted(), ENGINES, with_defaults=lambda: Closing(BOX))
    with pytest.raises(EngineError):
        require_found("detect.own", Scripted(), ENGINES, with_defaults=Closing)
    monkeypatch.setattr("pipeline.live.steps._open", lambda *_: Closing(BOX))
    try_detectors(Config(steps=[Step(use="detect.zones"), Step(use="track")]))

    assert closed == ["closed"] * 3


@pytest.mark.parametrize("use", ALONE)
def test_networks_that_are_tried_alone_are_there(use: str) -> None:
    parameters = inspect.signature(find(use)).parameters

    assert ALONE[use].keys() == {name for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD}
    assert all(len(inspect.signature(find(single)).parameters) > 1 for single in ALONE[use].values())


def cascade_of(thorough: str, quick: str) -> Config:
    engines = {"thorough": thorough, "quick": quick}
    return Config(steps=[Step(use="detect.cascade", engines=engines), Step(use="deidentify.cover")])


def test_good_networks_pass() -> None:
    for name in ("centerface", "yunet"):
        model_file(name)

    try_detectors(cascade_of("centerface", "yunet"))


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        pytest.param(("centerface", "yunet"), "thorough", id="both"),
        pytest.param(("centerface",), "thorough", id="the thorough one"),
        pytest.param(("yunet",), "quick", id="the quick one, for which the other would stand in"),
    ],
)
@pytest.mark.parametrize("opening", [open_steps, try_detectors])
def test_a_network_without_weights_is_found_out(
    damaged: tuple[str, ...], named: str, opening: Callable[[Config], object], tmp_path: Path
) -> None:
    files = {name: str(model_file(name)) for name in ("centerface", "yunet")}
    files |= {name: str(without_weights(Path(files[name]), tmp_path)) for name in damaged}
    for name in damaged:
        open_engine(files[name])  # nothing is wrong with the file itself

    with pytest.raises(EngineError, match=rf"^detect\.cascade: {named}: expected it to find the face"):
        opening(cascade_of(*files.values()))
