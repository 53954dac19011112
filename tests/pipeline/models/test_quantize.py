"""A model at another precision has a card that says what it was made of, and holds what the first card asks for."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from engines import ConfigError, EngineError, open_engine
from engines.card import Int8Calibration, Judged, Precision, Tolerance, card_file, read_card, write_card
from engines.files import sha256_of
from engines.int8 import exact_here
from pipeline.config import load
from pipeline.live.steps import check
from pipeline.models.catalog import find_model
from pipeline.models.fetch import pull
from pipeline.models.quantize import write_at
from tests.engines.small_network import small_model, write_onnx
from tests.model_files import model_file

exact = pytest.mark.skipif(not exact_here(), reason="shipped ranges were judged for CPUs with VNNI")


@pytest.fixture
def centerface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The detector with its card, alone in a cache."""
    file = model_file("centerface")
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path))
    shutil.copy(file, tmp_path)
    return pull(["centerface"])[0]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_network_is_written_beside_the_first_with_a_card_of_its_own(tmp_path: Path, precision: Precision) -> None:
    source = write_onnx(tmp_path)

    written = write_at(precision, source)

    first, second = read_card(source), read_card(written)
    assert written == tmp_path / f"small.{precision}.onnx"
    assert (second.precision, second.made_from) == (precision, first.sha256)
    assert second.sha256 == sha256_of(written.read_bytes())
    assert (second.name, second.plan, second.calibration) == (first.name, first.plan, None)


def test_a_network_of_half_precision_gives_nearly_the_same(tmp_path: Path) -> None:
    source = write_onnx(tmp_path)
    given = {"a": np.array([[1, 2, 3]], np.float32), "b": np.array([[10, 20, 0.1]], np.float32)}

    outputs = open_engine(write_at("fp16", source))(**given)

    assert np.allclose(outputs["sum"], [[11, 22, 3.1]], rtol=1e-3)
    assert np.allclose(outputs["moved"], [[1, 3, 5]], rtol=1e-3)


@pytest.mark.parametrize(
    ("precision", "tolerance", "complaint"),
    [
        ("fp16", {"fp16": Tolerance(absolute=0, relative=0)}, "small in fp16"),
        ("fp16", {"bf16": Tolerance(absolute=1, relative=1)}, "small: its card has no tolerance for fp16"),
        ("int8", {}, "its card has no calibration with a gate, so it is not quantised"),
    ],
    ids=["too far off", "no tolerance", "no calibration"],
)
def test_what_does_not_hold_is_not_written(
    tmp_path: Path, precision: Precision, tolerance: dict[Precision, Tolerance], complaint: str
) -> None:
    model = small_model()
    model.graph.initializer[0].float_data[0] = 2.0001  # which is 2 in half precision
    source = write_onnx(tmp_path, model)
    write_card(source, read_card(source).model_copy(update={"tolerance": tolerance}))

    with pytest.raises(EngineError, match=complaint):
        write_at(precision, source)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.json", "small.onnx"]


@exact
def test_int8_from_shipped_ranges(centerface: Path) -> None:
    told: list[tuple[str, str]] = []

    files = [pull(["centerface.int8"], lambda *what: told.append(what))[0] for _ in range(2)]

    card = read_card(files[0])
    assert [stat.S_IMODE(file.stat().st_mode) for file in (files[0], card_file(files[0]))] == [0o644, 0o644]
    assert files == [centerface.with_suffix(".int8.onnx")] * 2 == [find_model("centerface.int8")] * 2
    assert [what for name, what in told if name == "centerface.int8"] == ["writing", "present"]
    assert (card.precision, card.plan, card.made_from) == ("int8", None, read_card(centerface).sha256)


@exact
@pytest.mark.usefixtures("centerface")
def test_a_damaged_one_is_written_again() -> None:
    made = pull(["centerface.int8"])[0]
    before = made.read_bytes()
    made.write_bytes(before[:-1])

    pull(["centerface.int8"])

    assert made.read_bytes() == before


@exact
def test_int8_sees_what_float32_sees(centerface: Path) -> None:
    given = {"input.1": np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.float32)}

    heat = [open_engine(file)(**given)["537"] for file in (centerface, *pull(["centerface.int8"]))]

    assert np.abs(heat[0] - heat[1]).max() < 0.05


def test_shipped_ranges_are_judged_for_the_cpu(centerface: Path) -> None:
    with pytest.raises(ConfigError, match="--pictures: expected the folder of 'detection_face_masks'"):
        write_at("int8", centerface, target="tensorrt")


@exact
def test_shipped_ranges_have_to_hold_the_gate(centerface: Path) -> None:
    card = read_card(centerface)
    assert isinstance(card.calibration, Int8Calibration)
    worse = card.calibration.model_copy(update={"judged": Judged(fp32=0.92, int8=0.90)})
    write_card(centerface, card.model_copy(update={"calibration": worse}))

    with pytest.raises(EngineError, match=r"fell from 0\.9200 to 0\.9000; expected a drop of at most 0\.005"):
        write_at("int8", centerface)


@pytest.mark.usefixtures("centerface")
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("centerface.int7", "expected one of fp32, fp16, bf16, int8, got 'int7'"),
        ("nobody.int8", "no model 'nobody'; known: centerface"),
    ],
)
def test_no_such_precision_or_model(name: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        pull([name])


@exact
@pytest.mark.usefixtures("centerface")
def test_a_config_names_a_precision() -> None:
    config = load(overrides={"steps": [{"use": "detect.centerface", "engines": {"detector": "centerface.int8"}}]})

    with pytest.raises(ConfigError, match=r"`facewarden models pull centerface\.int8` fetches it"):
        check(config)
    pull(["centerface.int8"])

    check(config)


@pytest.mark.skipif(exact_here(), reason="this CPU has VNNI")
def test_elsewhere_int8_has_to_be_judged(centerface: Path) -> None:
    with pytest.raises(EngineError, match="this CPU has no VNNI"):
        write_at("int8", centerface)
