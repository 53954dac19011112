from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from engines import open_engine
from engines.card import Card, Gate, Int8Calibration, Tolerance, read_card, write_card
from engines.files import sha256_of
from operators.detect.centerface import CenterFace
from operators.detect.recall import inputs_of, match, recall
from operators.stills import Labelled
from pipeline.commands.console import WRONG
from pipeline.commands.engines import FAILED, engines_app
from tests.engines.small_network import small_model, write_onnx
from tests.engines.test_precision import convolutional


def call(*arguments: object) -> Result:
    return CliRunner().invoke(engines_app, [str(argument) for argument in arguments])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache of models, with the small network in it."""
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path))
    write_onnx(tmp_path)
    return tmp_path


def write_convolutional(folder: Path, **change: Any) -> Path:
    path = folder / "convolutional.onnx"
    onnx.save(convolutional(), path)
    card = Card(
        name="convolutional", task="test", licence="-", sha256=sha256_of(path.read_bytes()), source="-", **change
    )
    write_card(path, card)
    return path


def test_build_float16_with_its_card(cache: Path) -> None:
    """Drawn inputs are as large as pixels, so sums of 27 of them are rounded by a few units."""
    source = write_convolutional(cache, tolerance={"fp16": Tolerance(absolute=8, relative=0)})

    done = call("build", source, "--precision", "fp16")

    made = source.with_suffix(".fp16.onnx")
    assert done.exit_code == 0, done.output
    assert read_card(made).precision == "fp16"
    assert read_card(made).made_from == read_card(source).sha256
    assert call("verify", made).exit_code == 0
    assert call("parity", source, made).exit_code == 0
    assert open_engine(made)(x=np.zeros((2, 3, 8, 8), np.float32))["y"].shape == (2, 16, 8, 8)


def test_an_export_beyond_its_cards_tolerance_is_refused(cache: Path) -> None:
    source = write_convolutional(cache, tolerance={"fp16": Tolerance(absolute=1e-6, relative=0)})

    done = call("build", source, "--precision", "fp16")

    assert done.exit_code == WRONG
    assert "refused: expected outputs within 1e-06" in done.stderr
    assert not source.with_suffix(".fp16.onnx").exists()


def test_parity_of_networks_that_differ(cache: Path) -> None:
    other = small_model()
    other.graph.initializer[1].float_data[0] = 2
    (cache / "other").mkdir()

    done = call("parity", cache / "small.onnx", write_onnx(cache / "other", other))

    assert done.exit_code == FAILED
    assert "moved" in done.output
    assert "differs" in done.output


def test_parity_of_given_inputs(cache: Path) -> None:
    rows = np.ones((2, 3), np.float32)
    np.savez(cache / "inputs.npz", a=rows, b=rows)

    done = call("parity", cache / "small.onnx", cache / "small.onnx", "--inputs", cache / "inputs.npz")

    assert done.exit_code == 0, done.output


def test_list_and_verify(cache: Path) -> None:
    onnx.save(small_model(), cache / "stranger.onnx")

    listed, verified = call("list"), call("verify")

    assert "small.onnx" in listed.output
    assert verified.exit_code == FAILED
    assert "small.onnx: fine" in verified.output
    assert "stranger.onnx: no card" in verified.output.replace(f"{cache}/", "")


def test_verify_a_changed_file(cache: Path) -> None:
    (cache / "small.onnx").write_bytes(convolutional().SerializeToString())

    done = call("verify", cache / "small.onnx")

    assert done.exit_code == FAILED
    assert "expected SHA-256" in done.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["build", "nobody"], "no model 'nobody'; known: centerface", id="unknown"),
        pytest.param(["build", "{}", "--precision", "int7"], "int7", id="precision"),
        pytest.param(["build", "{}", "--precision", "int8"], "its card has no calibration", id="no calibration"),
        pytest.param(["parity", "{}", "{}", "--inputs", "/nowhere.npz"], "expected an .npz", id="inputs"),
    ],
)
def test_mistakes_are_told(cache: Path, arguments: list[str], complaint: str) -> None:
    done = call(*(argument.format(cache / "small.onnx") for argument in arguments))

    assert done.exit_code == WRONG
    assert complaint in done.stderr


def test_int8_needs_pictures(cache: Path) -> None:
    gate = Gate(metric="recall", max_drop=0.005)
    calibration = Int8Calibration(data="a set", images=2, operator="detect.centerface", gate=gate)
    source = write_convolutional(cache, calibration=calibration)

    for arguments, complaint in (([], "the folder of 'a set'"), (["--pictures", cache], "expected boxes.csv")):
        done = call("build", source, "--precision", "int8", *arguments)
        assert done.exit_code == WRONG
        assert complaint in done.stderr


def picture() -> Labelled:
    content = cv2.imencode(".png", np.full((64, 96, 3), 128, np.uint8))[1].tobytes()
    return Labelled(content, np.array([[0, 0, 16, 16], [64, 32, 80, 48]], np.float32))


def one_face(**inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    """A face of 16 x 16 pixels of the network, at the top left, in any picture."""
    batch, _, height, width = inputs["input.1"].shape
    maps = {"537": 1, "538": 2, "539": 2, "540": 10}
    out = {name: np.zeros((batch, count, height // 4, width // 4), np.float32) for name, count in maps.items()}
    out["537"][:, 0, 1, 1] = 0.9
    out["538"][:, :, 1, 1] = np.log(16 / 4)
    out["539"][:, :, 1, 1] = 0.5
    return out


def detector(engine: Any) -> CenterFace:
    return CenterFace(engine, min_px=32)


def test_the_inputs_of_an_operator() -> None:
    (given,) = inputs_of(detector, [picture()])

    assert given["input.1"].shape == (1, 3, 64, 96)


def test_recall_counts_labelled_faces() -> None:
    assert recall(detector, one_face, [picture()] * 3) == 0.5


def test_nothing_found_is_no_recall() -> None:
    assert not match(picture().boxes, np.zeros((0, 4)), np.zeros(0)).any()
